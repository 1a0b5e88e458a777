"""Every write: one step, one file, one transaction.

Owns: what happens together or not at all, and in which order. Does not own: SQL (in `store`), what
a number means (in the pure rooms), counting and logging what was done (the doors do, from the
result a step returns).

Invariants: a step opens its transaction and nothing below it commits; steps do not call each
other; anything to be sent is a row written in the transaction of its cause; `now` is an argument.
"""
