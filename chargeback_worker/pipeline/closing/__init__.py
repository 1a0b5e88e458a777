"""What the steps share that settle a month: whether it may be closed, and what it then owes.

Owns: the refusals of a close, what a period decides by, and the computation from totals to
invoices. Does not own: a transaction; the steps that close, reopen and preview open theirs.
"""
