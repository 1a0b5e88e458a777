"""What is locked may be distributed with the worker, and the page of licences says what it is."""

import re
from pathlib import Path

import pytest

from tests.support.licences import BESIDE, PAGE, PERMISSIVE, Locked, locked, page

ROOT = Path(__file__).parents[2]
LOCKED = {
    f"{lock}: {one.name}": one for lock in ("worker", "dev") for one in locked(f"{lock}.lock")
}


def test_the_page_is_what_the_locks_and_the_packages_say() -> None:
    assert PAGE.read_text() == page(), "make dependencies-page"


@pytest.mark.parametrize("one", LOCKED.values(), ids=LOCKED)
def test_its_licence_is_known_and_fits_ours(one: Locked) -> None:
    assert one.terms <= PERMISSIVE | BESIDE, one.licence


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "AGPL-3.0-or-later", "", "Proprietary"])
def test_a_licence_that_does_not_fit_is_found(licence: str) -> None:
    assert not Locked("other", "1", licence).terms <= PERMISSIVE | BESIDE


@pytest.mark.parametrize(
    "lock", sorted((ROOT / "requirements").glob("*.lock")), ids=lambda p: p.name
)
def test_every_lock_holds_hashes_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    packages = re.findall(r"(?m)^[a-z0-9._-]+==\S+ .*$", text)
    assert len(packages) == len(re.findall(r"(?m)^[a-z0-9]", text)) > 0
    for block in re.split(r"(?m)^(?=[a-z0-9])", text)[1:]:
        assert "--hash=sha256:" in block, block.splitlines()[0]
    assert "://" not in text
