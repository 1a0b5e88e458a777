"""HTML: one file with everything in it, for screens of any width, dark and light, and for paper.

Nothing runs: there is no script in it, and its policy lets the browser load nothing and apply no
style but the one that is named by its digest. Exact amounts are shown by a checkbox and CSS.
"""

import re
from base64 import b64encode
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING

from chargeback_worker.documents.facts import Logo
from chargeback_worker.documents.templates import template
from chargeback_worker.documents.view import View

if TYPE_CHECKING:
    # Loaded with the first document: commands that make none start faster without it.
    from jinja2 import Template

_NUMBER_MAX = 16
_BEHIND_SEPARATOR = re.compile(r"(?<=\d\D)(?=\d)")
_PAPER = {"a4": "A4", "letter": "letter"}


def render(view: View) -> bytes:
    from markupsafe import Markup

    look = view.facts.look
    page = f"@page {{ size: {_PAPER[look.paper]}; margin: 18mm; }}\n"
    style = template("invoice.css") + page
    text = _template().render(
        view=view,
        style=Markup(style),
        style_digest=Markup(b64encode(sha256(style.encode()).digest()).decode()),
        logo=_picture(look.logo),
    )
    # Half a character, which no store holds, must not end here.
    return text.encode("utf-8", "replace")


def _picture(logo: Logo | None) -> str:
    """As part of the file; a browser runs nothing of a picture that is shown as one."""
    if logo is None:
        return ""
    return f"data:{logo.media_type};base64,{b64encode(logo.content).decode()}"


def _digits(number: str) -> str:
    """A number that is too long for a column may end a line between its groups of digits."""
    from markupsafe import Markup, escape

    if len(number) <= _NUMBER_MAX:
        return number
    return Markup("<wbr>").join(map(escape, _BEHIND_SEPARATOR.split(number)))


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["digits"] = _digits
    return environment.from_string(template("invoice.html"))
