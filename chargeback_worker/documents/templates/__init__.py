"""The templates of documents, as they are shipped.

Owns: their texts. Does not own: what is said in them (`view`), how they are filled (`as_…`).
"""

from functools import cache
from importlib.resources import files


@cache
def template(name: str) -> str:
    """The text of a template by its file's name."""
    return files(__name__).joinpath(name).read_text("utf-8")
