"""The life of invoices walked at random, beside books kept by somebody who only watches.

Owns: the steps of a walk (`machine`; `months`, `asking` and `changing` say what each must do or be
refused by), what they are given (`drawn`), what is stored after each (`seen`), what it should be
(`books`), and the comparison of the two (`laws`, by the `witness`). Does not own: how often a walk
is tried, which its tests say.

Invariants: the watcher's books are kept by the words of billing.md, without any settlement or
allocation of ours; a step that is refused changes no row of the database.
"""
