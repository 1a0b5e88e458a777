"""An older release of the worker, checked out and installed as its own Makefile does it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
VERSIONS = ROOT / "chargeback_worker/store/migrations/versions"


def before_the_last_migration() -> str:
    """The commit of the last release that does not know the schema of this one."""
    newest = max(path for path in VERSIONS.glob("v*.py"))
    added = _git("log", "--diff-filter=A", "--format=%H", "-1", "--", str(newest))
    assert added, f"{newest.name} is not committed yet"
    return _git("rev-parse", "--short", f"{added}^")


def checked_out(commit: str, folder: Path) -> Path:
    """That commit in a folder of its own, with a `.venv` of its own locks; kept for another run."""
    short = _git("rev-parse", "--short", commit)
    release = folder / short
    if not (release / "Makefile").exists():
        subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, release], check=True)
        subprocess.run(["git", "checkout", "--quiet", short], cwd=release, check=True)
    subprocess.run(["make", "--silent", ".venv/worker.installed"], cwd=release, check=True)
    return release


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()
