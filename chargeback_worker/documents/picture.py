"""The logo as SVG, which is text: so it reaches the typesetter inside of JSON like all else."""

from base64 import b64encode

from chargeback_worker.documents.facts import Logo
from chargeback_worker.errors import Misconfigured

PNG, SVG = "image/png", "image/svg+xml"
_PNG_BEGINS = b"\x89PNG\r\n\x1a\n"
_SIZE_AT = slice(16, 24)


class NoPicture(Misconfigured):
    """What is given as the logo is neither PNG nor SVG."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"documents.logo: {name} is neither a PNG nor an SVG picture.",
            "Give a PNG or SVG file as documents.logo, or none.",
        )


def read_logo(content: bytes, name: str) -> Logo:
    """The picture in those bytes; `name` is for people. Raises NoPicture."""
    if content.startswith(_PNG_BEGINS) and len(content) > _SIZE_AT.stop and all(_size(content)):
        return Logo(content, PNG)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NoPicture(name) from None
    if "<svg" not in text:
        raise NoPicture(name)
    return Logo(text.encode(), SVG)


def as_svg(logo: Logo) -> str:
    """An SVG as it is; a PNG within one of its own size."""
    if logo.media_type == SVG:
        return logo.content.decode()
    width, height = _size(logo.content)
    picture = b64encode(logo.content).decode()
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">'
        f'<image width="{width}" height="{height}" href="data:{PNG};base64,{picture}"/></svg>'
    )


def _size(content: bytes) -> tuple[int, int]:
    size = content[_SIZE_AT]
    return int.from_bytes(size[:4]), int.from_bytes(size[4:])
