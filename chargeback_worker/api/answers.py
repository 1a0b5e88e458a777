"""Answers: documents as the one encoder of all JSON writes them."""

from collections.abc import Mapping

from starlette.responses import Response

from chargeback_worker.invoicing.document import Document, encode


class Answer(Response):
    """A document, with the digits of its amounts as they are."""

    media_type = "application/json"

    def __init__(
        self, document: Document, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(encode(document), status, {**_NOT_KEPT, **(headers or {})})


_NOT_KEPT = {"Cache-Control": "no-store"}


def etag(version: object) -> dict[str, str]:
    """The header that tells the version of a thing."""
    return {"ETag": f'"{version}"'}


def expected(if_match: str | None) -> str | None:
    """The version that a request is for, by its If-Match; None where any will do."""
    if if_match is None or if_match.strip() == "*":
        return None
    return if_match.strip().removeprefix("W/").strip('"')
