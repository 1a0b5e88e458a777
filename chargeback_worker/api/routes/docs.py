"""The pages that tell what there is: nothing on them comes from elsewhere."""

from typing import Annotated

from fastapi import Path
from starlette.requests import Request
from starlette.responses import Response

from chargeback_worker.api import pages
from chargeback_worker.api.answers import Answer
from chargeback_worker.api.refusals import PathUnknown
from chargeback_worker.api.routing import Routes

routes = Routes("docs", prefix="")

_HTML = "text/html; charset=utf-8"
# They show no data; a browser may run nothing on them and load nothing for them.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-cache",
}


@routes.declare(
    "GET", "/openapi.json", role=None, answers={200: "application/json"}, include_in_schema=False
)
def get_openapi(request: Request) -> Answer:
    """The OpenAPI document"""
    return Answer(request.app.openapi(), headers={"Cache-Control": "no-cache"})


@routes.declare("GET", "/docs", role=None, answers={200: "text/html"}, include_in_schema=False)
def get_docs(request: Request) -> Response:
    """All endpoints on a page"""
    return Response(pages.reference(request.app.openapi()), 200, _HEADERS, _HTML)


@routes.declare(
    "GET", "/docs/errors", role=None, answers={200: "text/html"}, include_in_schema=False
)
def get_error_pages() -> Response:
    """All types of problems"""
    return Response(pages.all_problems(), 200, _HEADERS, _HTML)


@routes.declare(
    "GET", "/docs/errors/{name}", role=None, answers={200: "text/html"}, include_in_schema=False
)
def get_error_page(request: Request, name: Annotated[str, Path(max_length=100)]) -> Response:
    """One type of problem"""
    page = pages.problem(name)
    if page is None:
        raise PathUnknown(request.url.path)
    return Response(page, 200, _HEADERS, _HTML)
