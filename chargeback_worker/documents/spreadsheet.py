"""The one rule by which a text goes into a spreadsheet: it is never taken for a formula."""

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What a formula, or a cell that a spreadsheet splits, begins with; some know the wide signs."""


def as_text(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would compute it."""
    return f"'{text}" if text.startswith(_FORMULA) else text
