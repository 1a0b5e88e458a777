"""Every read: one report, one file, answered from one snapshot of the books.

Owns: what people ask (what was used, who bears it and why, is it all there, what was refused, who
did what) and the documents that answer it, the same for the command line and HTTP. Does not own:
SQL (in `store`), any number's meaning (in the pure rooms), tables and colours (in `cli`), status
codes (in `api`).

Invariants: a report writes nothing; its document holds amounts as `Amount`, so that they leave
with their exact digits; pages of what happened go newest first, others by key.
"""
