"""The pages under `/docs`: the reference, and one for each type of problem.

Owns: how they look. Does not own: what they say, which is the OpenAPI document and the docstrings
of errors.

Invariants: a page is one file, without a script, and loads nothing; it works without a network.
"""

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chargeback_worker.api.problems import kinds
from chargeback_worker.invoicing.document import encode


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("chargeback_worker.api", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["json"] = lambda value: encode(value).decode()
    environment.filters["code"] = _code
    return environment


def reference(document: dict[str, Any]) -> bytes:
    """All endpoints of an OpenAPI document."""
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            entry = {"path": path, "method": method.upper(), **operation}
            by_tag.setdefault(operation["tags"][0], []).append(entry)
    return _render("reference.html", document=document, by_tag=by_tag)


def all_problems() -> bytes:
    """Every type of problem."""
    return _render("problems.html", kinds=kinds().values())


def problem(name: str) -> bytes | None:
    """The page of one type; None where there is no such type."""
    kind = kinds().get(name)
    return None if kind is None else _render("problem.html", kind=kind)


def _render(template: str, **values: Any) -> bytes:
    return _environment().get_template(template).render(**values).encode()


def _code(text: str) -> Markup:
    """A text in which `words` are code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )
