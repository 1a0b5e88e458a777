"""How documents look, from the settings; the logo is read from its file."""

from pathlib import Path

from chargeback_worker.documents.facts import Logo, Look
from chargeback_worker.documents.picture import read_logo
from chargeback_worker.errors import Misconfigured
from chargeback_worker.settings.model import Documents

LOGO_BYTES_MAX = 512 * 1024


class LogoUnreadable(Misconfigured):
    """The file that documents.logo names cannot be used."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"documents.logo: {name!r} cannot be read: {why}.",
            "Name a PNG or SVG file of at most 512 KiB as documents.logo, or none.",
        )


def look_of(settings: Documents) -> Look:
    """Raises LogoUnreadable, or NoPicture."""
    return Look(
        issuer=settings.issuer,
        issuer_address=settings.issuer_address,
        issuer_tax_id=settings.issuer_tax_id,
        logo=None if settings.logo is None else _logo(settings.logo),
        footer=settings.footer,
        payment_terms=settings.payment_terms,
        locale=settings.locale,
        paper=settings.paper,
    )


def _logo(name: str) -> Logo:
    try:
        with Path(name).open("rb") as file:
            content = file.read(LOGO_BYTES_MAX + 1)
    except OSError as error:
        raise LogoUnreadable(name, (error.strerror or str(error)).lower()) from error
    if len(content) > LOGO_BYTES_MAX:
        raise LogoUnreadable(name, "it is larger than 512 KiB")
    return read_logo(content, repr(name))
