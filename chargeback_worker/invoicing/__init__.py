"""What is owed, the invoices for it, and their form on the wire.

Owns: settlement (the one formula of close, late usage and reopening), invoices with their lines,
cents, numbers, ids and statuses, the documents and messages that others read, and the one JSON
encoder. Does not own: who bears a cost (allocation), storage, the clock, when a close is due.

Invariants, asserted: what is booked plus what is owed is what a fresh allocation gives; the cents
of all invoices and of what nobody is billed sum to the rounded booked amount; the lines of an
invoice sum to its subtotal. The same history gives the same ids and the same bytes.
"""
