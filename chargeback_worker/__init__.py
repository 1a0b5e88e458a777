"""Counts what AI agents use exactly once, decides who bears which cost, and writes the invoices.

The rooms, in the order of the money: `usage` (what was used), `allocation` (who bears it),
`invoicing` (what is owed), around them `store`, `broker`, `pipeline` (every write), `reports`
(every read), and the doors `worker` and `cli`. Imports go down the list of layers in
`pyproject.toml` and never back; import-linter keeps it in the test run.
"""

__version__ = "0.1.0"
