"""The fonts of PDF documents, from packages and never from the machine, and what they can show.

Each comes in a package of its own (`chargeback-worker[pdf]`), as files: one family for Latin, Greek
and Cyrillic, then those for what it lacks, in the order in which they are asked.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from chargeback_worker.documents.characters import code_point
from chargeback_worker.errors import Misconfigured

_NOTO = "fonts/ofl"


class Font(NamedTuple):
    """A family, the package and folder that hold it, and the file that says what it covers."""

    family: str
    package: str
    folder: str
    file: str


FONTS: Sequence[Font] = (
    Font("Noto Sans", "justmytype_western_core", f"{_NOTO}/notosans", "NotoSans[wdth,wght].ttf"),
    Font(
        "Noto Sans Arabic",
        "justmytype_intl_rtl",
        f"{_NOTO}/notosansarabic",
        "NotoSansArabic[wdth,wght].ttf",
    ),
    Font(
        "Noto Sans Hebrew",
        "justmytype_intl_rtl",
        f"{_NOTO}/notosanshebrew",
        "NotoSansHebrew[wdth,wght].ttf",
    ),
    Font("Noto Sans CJK JP", "noto_cjk_sans_jp_regular", "", "NotoSansCJKjp-Regular.otf"),
    Font(
        "Noto Sans Symbols 2",
        "justmytype_western_core",
        f"{_NOTO}/notosanssymbols2",
        "NotoSansSymbols2-Regular.ttf",
    ),
)


class PdfPartMissing(Misconfigured):
    """What makes PDF documents is an extra, and is not installed."""

    def __init__(self, module: str) -> None:
        super().__init__(
            f"PDF documents need the Python package {module!r}, which is not installed.",
            "Install it: pip install 'chargeback-worker[pdf]'; or take --format html",
        )


def part(module: str) -> Any:
    """A module of the extra. Raises PdfPartMissing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise PdfPartMissing(module.partition(".")[0]) from error


def folders() -> list[str]:
    """Where the files of all fonts are. Raises PdfPartMissing."""
    return [str(_folder(font)) for font in FONTS]


def showable(text: str) -> str:
    """The text with the code point of every character that no font has."""
    if text.isascii():
        return text
    return "".join(char if _covered(ord(char)) else code_point(char) for char in text)


def _covered(character: int) -> bool:
    return any(character in _coverage(font) for font in FONTS)


@cache
def _coverage(font: Font) -> frozenset[int]:
    opened = part("fontTools.ttLib").TTFont(_folder(font) / font.file, lazy=True)
    with opened:
        return frozenset(opened.getBestCmap())


def _folder(font: Font) -> Path:
    part(font.package)
    # Installed packages are folders: none of these can be imported out of an archive.
    return Path(str(files(font.package))) / font.folder
