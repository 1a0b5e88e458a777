"""PDF, typeset by typst: the view goes in as JSON, so that no text is ever read as markup.

The bytes depend on nothing of the machine: fonts are those of `fonts`, and the time in the file is
the invoice's own.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import msgspec

from chargeback_worker.documents.facts import Logo
from chargeback_worker.documents.fonts import FONTS, folders, part, showable
from chargeback_worker.documents.picture import as_svg
from chargeback_worker.documents.templates import template
from chargeback_worker.documents.view import View
from chargeback_worker.errors import Misconfigured
from chargeback_worker.period import to_us

_HEADS = {"number": "#", "quantity": "Quantity", "unit_price": "Unit price"}
_PAPER = {"a4": "a4", "letter": "us-letter"}
_MAY_BREAK = "\u200b"
# A word that is longer may have no room in a column; letters that join or mark stay together.
_LONG_WORD = re.compile(rf"[^\s{_MAY_BREAK}]{{17,}}")
_AFTER_SIGN = re.compile(r"([-_./:@,;])(?=\w)")
_MARKS_AND_JOINERS = "\u0300-\u036f\u0600-\u08ff\u200c\u200d\u2066-\u2069\ufb50-\ufdff"
_PIECE = re.compile(rf"(\S{{4}})(?=[^\s{_MARKS_AND_JOINERS}])")
_ARABIC_PIECE = re.compile("([\u0600-\u08ff]{12})(?=[\u0600-\u08ff])")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)(\D)(?=\d)")
_NUMBER_MAX = 12
# Above it a line may be split between two pages.
_LONG_LINE = 1_000


class NotTypeset(Misconfigured):
    """Typst refused the document, which only a picture in it can cause."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The PDF could not be made: {why}.",
            "Give another picture as documents.logo, or none; HTML does without: --format html",
        )


def render(view: View) -> bytes:
    """Raises PdfPartMissing, or NotTypeset where the logo cannot be read as a picture."""
    typst = part("typst")
    invoice, logo = view.facts.invoice, view.facts.look.logo
    compiler = typst.Compiler(
        template("invoice.typ").encode(),
        font_paths=_fonts(),
        ignore_system_fonts=True,
        sys_inputs={"view": msgspec.json.encode(_document(view, logo)).decode()},
    )
    at = invoice.issued_at or invoice.created_at
    try:
        made: bytes = compiler.compile(format="pdf", timestamp=to_us(at) // 1_000_000)
    except typst.TypstError as error:
        if logo is None:
            raise
        raise NotTypeset(error.message) from error
    return made


@cache
def _fonts() -> Any:
    return part("typst").Fonts(
        include_system_fonts=False, include_embedded_fonts=False, font_paths=folders()
    )


def _document(view: View, logo: Logo | None) -> dict[str, Any]:
    """The view as the template takes it, every text in it such that it can be set."""
    groups: list[dict[str, Any]] = [
        {
            "heading": group.heading,
            "notes": group.notes,
            "rows": [_row(asdict(row)) for row in group.rows],
            "label": group.label,
            **_numbers(exact=group.exact, amount=group.amount),
        }
        for group in view.groups
    ]
    document = {
        "title": view.title,
        "number": view.number,
        "stamp": view.stamp,
        "banner": view.banner,
        "entries": view.entries,
        "issuer": view.issuer._asdict(),
        "receiver": view.receiver._asdict(),
        "currency": view.currency,
        "groups": groups,
        "widest": _widest(groups, view.currency),
        "sums": [term._asdict() for term in view.sums],
        "equation": None if view.equation is None else _equation(view),
        "closing": view.closing,
        "footer": view.footer,
        "exact": view.facts.exact,
    }
    fixed = {
        "name": view.name,
        "author": view.issuer.name,
        "fonts": [font.family for font in FONTS],
        "paper": _PAPER[view.facts.look.paper],
        "logo": "" if logo is None else as_svg(logo),
    }
    return {**_settable(document), **fixed}


def _row(row: dict[str, Any]) -> dict[str, Any]:
    notes = " · ".join(row["notes"])
    numbers = {name: row[name] for name in ("quantity", "unit_price", "exact", "amount")}
    long = len(row["what"]) + len(notes) > _LONG_LINE
    return {**row, "notes": notes, "long": long, **_numbers(**numbers)}


def _numbers(**texts: str) -> dict[str, str]:
    """Numbers of a column: one that is too long for it is broken between its groups of digits."""
    return {
        name: _BETWEEN_DIGITS.sub(rf"\1{_MAY_BREAK}", text) if len(text) > _NUMBER_MAX else text
        for name, text in texts.items()
    }


def _widest(groups: Sequence[dict[str, Any]], currency: str) -> dict[str, list[str]]:
    """For each column of numbers its head and the longest text in it: all figures are as wide."""
    cells = [row for group in groups for row in group["rows"]] + [
        {"amount": group["amount"], "exact": group["exact"]} for group in groups
    ]
    heads = {**_HEADS, "exact": f"Exact {currency}", "amount": currency}
    return {
        name: [head, max((row.get(name, "") for row in cells), key=len, default="")]
        for name, head in heads.items()
    }


def _equation(view: View) -> dict[str, Any]:
    assert view.equation is not None
    equation = view.equation
    return {
        "heading": equation.heading,
        "sentence": equation.sentence,
        "terms": [term._asdict() for term in equation.terms],
    }


def _settable(value: Any) -> Any:
    if isinstance(value, str):
        return _breakable(showable(value))
    if isinstance(value, dict):
        return {name: _settable(of) for name, of in value.items()}
    if isinstance(value, list | tuple):
        return [_settable(of) for of in value]
    return value


def _breakable(text: str) -> str:
    """Long words get places where a line may end; typst breaks none by itself."""
    return _LONG_WORD.sub(lambda word: _broken(word[0]), text)


def _broken(word: str) -> str:
    """At signs within it; what is long between them anywhere."""
    word = _AFTER_SIGN.sub(rf"\1{_MAY_BREAK}", word)
    return _LONG_WORD.sub(lambda piece: _in_pieces(piece[0]), word)


def _in_pieces(word: str) -> str:
    word = _PIECE.sub(rf"\1{_MAY_BREAK}", word)
    return _ARABIC_PIECE.sub(rf"\1{_MAY_BREAK}", word)
