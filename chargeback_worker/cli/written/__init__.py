"""Files that people write, YAML or JSON: read as plain values, each with its line and column.

Owns: the syntax of files, their limits, and the place of every value in them. Does not own: which
fields there are and what may stand in them (`allocation.writing`), what is done with them (the
commands).

Invariants: only null, ~, true, false and numbers as JSON writes them are anything but texts, in
YAML too, and a number keeps its digits; no key of a mapping stands twice; depth and number of
values are bounded; whatever the file, the outcome is a `WrittenFile` or a named error.
"""
