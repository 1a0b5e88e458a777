"""From what people wrote to values: rules and the directory, checked whole, and back.

Owns: which fields there are and what may stand in them, the resolution of receiver keys, derived
priorities, every fault with its place in the document, and the form in which a rule or a
directory is written. Does not own: files and their syntax (cli), versions and closed months
(store, pipeline), what a type of rule asks of its fields (its method's `check`).

A document is plain values: dict, list, str, bool, None and `Number`, the digits of a number as it
was written. An int, a Decimal and the raw number of the JSON decoder are read as their digits. No
float is: its digits are not what was written.

Invariants: all faults of a document are told at once, each with the place it stands at, and
nothing comes out of a document with a fault; whatever the document, the outcome is values or a
`Refused`; a rule that is written out and read again is the same rule.
"""
