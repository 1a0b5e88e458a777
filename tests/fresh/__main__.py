"""`make test-fresh`: times and sizes of what a stranger would type first."""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.fresh import commands, image
from tests.fresh.debian import Debian, NotPossible

PARTS = ("demo", "image", "test")
PACKAGES = ("python3", "python3-venv", "make", "ca-certificates")


def main() -> int:
    options = argparse.ArgumentParser(prog="python3 -m tests.fresh")
    options.add_argument("--part", choices=PARTS, action="append")
    options.add_argument("--suite", default=_suite(), help="the Debian release")
    options.add_argument("--mirror", default=os.environ.get("MIRROR"), help="of Debian packages")
    options.add_argument("--folder", type=Path, help="where the roots go, some GB; kept then")
    given = options.parse_args()
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        print("This is done as root, with debootstrap (apt-get install debootstrap).")
        return 4
    folder = given.folder or Path(tempfile.mkdtemp(prefix="chargeback-fresh-"))
    try:
        clean = Debian.made(folder / "clean", given.suite, given.mirror, PACKAGES)
        for part in given.part or PARTS:
            if part == "image":
                image.build_and_try(clean, folder)
            else:
                commands.try_out(clean, folder, part)
    except NotPossible as error:
        print(f"FAILED  {error}")
        return 1
    finally:
        if given.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _suite() -> str:
    """The host's release where it is a Debian: its packages are near."""
    release = Path("/etc/os-release").read_text()
    told = dict(line.partition("=")[::2] for line in release.splitlines())
    return told.get("VERSION_CODENAME", "bookworm") if told.get("ID") == "debian" else "bookworm"


if __name__ == "__main__":
    sys.exit(main())
