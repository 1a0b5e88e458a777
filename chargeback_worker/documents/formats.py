"""The formats of documents, by the name that a person asks for them with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from chargeback_worker.documents import as_csv, as_html, as_json, as_pdf
from chargeback_worker.documents.facts import Facts
from chargeback_worker.documents.view import View
from chargeback_worker.documents.viewing import view_of


@dataclass(frozen=True, slots=True)
class Format:
    """One way to render a view; `text` where a terminal may show it."""

    media_type: str
    suffix: str
    render: Callable[[View], bytes]
    text: bool = True


FORMATS: Mapping[str, Format] = {
    "html": Format("text/html; charset=utf-8", ".html", as_html.render),
    "pdf": Format("application/pdf", ".pdf", as_pdf.render, text=False),
    "csv": Format("text/csv; charset=utf-8", ".csv", as_csv.render),
    "json": Format("application/json", ".json", as_json.render),
}


def render(facts: Facts, name: str) -> bytes:
    """The document of an invoice in a format by its name in FORMATS."""
    return FORMATS[name].render(view_of(facts))
