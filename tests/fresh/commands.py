"""`make demo` and `make test` as a stranger types them, each in a root that nobody has used."""

import re
import subprocess
import time
from pathlib import Path

from tests.fresh.debian import HOME, UID, Debian, run, say

SOURCE = Path(__file__).parents[2]
PROJECT = f"{HOME}/chargeback"


def try_out(clean: Debian, folder: Path, target: str) -> None:
    """Clone what is committed, run `make TARGET` there as nobody special, and tell the figures."""
    debian = clean.copied(folder / target)
    before = debian.mb()
    where = debian.root / PROJECT.lstrip("/")
    run("clone", ["git", "clone", "--quiet", "--no-local", str(SOURCE), str(where)])
    run("chown", ["chown", "-R", f"{UID}:{UID}", str(where)])
    _tell_what_is_left_out()
    began = time.monotonic()
    environment = {"HOME": HOME, **debian.carried_environment()}
    written = debian.run(
        f"make {target}",
        ["make", target],
        user=f"{UID}:{UID}",
        folder=PROJECT,
        environment=environment,
        shown=True,
    )
    took = time.monotonic() - began
    itself = re.findall(r"^Done +in (\d+) s", written, re.M)
    say(
        "Time", f"make {target}: {took:.0f} s" + (f", {itself[0]} s of it itself" if itself else "")
    )
    sizes = f"root {before} MB before, {debian.mb()} MB after"
    say("Size", f"{sizes}; .venv {debian.mb(f'{PROJECT}/.venv')} MB")


def _tell_what_is_left_out() -> None:
    changed = subprocess.run(
        ["git", "status", "--short"], cwd=SOURCE, capture_output=True, text=True, check=True
    )
    if changed.stdout:
        say("Note", "the clone is what is committed; the working tree holds more")
