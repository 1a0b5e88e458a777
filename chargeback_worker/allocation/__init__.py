"""Decides who bears which cost; knows nothing of invoices.

Owns: pairs and their order, rules and which version holds on a day, how rules and the directory
are written, told in words and warned of, what of totals rules tell apart, the pools that methods
make, and the division of every pool; the snapshot, which is all that a close has decided by.
Does not own: what was booked before (invoicing), records of usage, storage, the clock.

Invariants, asserted: the pools of a rule partition what it claimed; the parts of a pool sum to it,
per resource type; the parts of all pools sum to the cost of all totals, to the nano-dollar. A
method names weights and never computes money. The order of totals changes nothing.
"""
