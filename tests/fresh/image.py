"""The Dockerfile's own steps, without a container engine, and its command in what they make.

What stands for the base image is the clean Debian with its own Python. So this shows that the steps
work, that the worker runs as nobody on a root that cannot be written to, that it drains as process
1, and how large its layers are. It shows nothing of the base image itself, nor of the engine.
"""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.fresh.debian import PATH, Debian, NotPossible, run, say
from tests.fresh.dockerfile import Ignored, Stage, Step, read

SOURCE = Path(__file__).parents[2]
_STARTS_S = 60.0
_DRAINS_S = 30.0
BOOKS = "/var/lib/chargeback"


def build_and_try(clean: Debian, folder: Path) -> None:
    """Raises NotPossible where a step fails."""
    stages = read(SOURCE / "Dockerfile")
    built: dict[str, Debian] = {}
    for stage in stages:
        began = time.monotonic()
        start = built.get(stage.base) or _stand_in(clean, stage, folder)
        name = stage.name or "final"
        built[name] = start.copied(folder / f"image-{name}")
        for step in stage.steps:
            _do(step, stage, built[name], built)
        say("Stage", f"{name}: {time.monotonic() - began:.0f} s")
    final = built["final"]
    say("Size", f"{final.mb('/opt/chargeback')} MB above the base image")
    _try(final, stages[-1], folder)
    say("Not", "checked: the base image itself, layers and digests, an engine's own limits")


def _stand_in(clean: Debian, stage: Stage, folder: Path) -> Debian:
    base = clean.copied(folder / "image-base")
    (base.root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
    version = base.run("python", ["python", "--version"]).split()[1]
    say("Base", f"Debian's Python {version} stands for {stage.base}")
    if f":{'.'.join(version.split('.')[:2])}-" not in stage.base:
        say("Note", "which is another Python than the image's")
    return base


def _do(step: Step, stage: Stage, on: Debian, built: dict[str, Debian]) -> None:
    if step.word == "RUN":
        environment = {**on.carried_environment(), **stage.environment(), "PATH": PATH}
        on.run(step.text[:60], ["/bin/sh", "-c", step.text], environment=environment)
    elif step.word == "COPY":
        *sources, target = step.words
        for source in sources:
            _copy(step, source, target, on, built)


def _copy(step: Step, source: str, target: str, on: Debian, built: dict[str, Debian]) -> None:
    """A folder's contents go into the target, a file into a target that ends with a slash."""
    if "from" in step.options:
        start = built[step.options["from"]].root / source.lstrip("/")
    else:
        start = SOURCE / source
    end = on.root / target.lstrip("/")
    if start.is_file():
        end = end / start.name if target.endswith("/") else end
        end.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(start, end)
        return
    end.mkdir(parents=True, exist_ok=True)
    if "from" in step.options:
        run("copy", ["cp", "-a", f"{start}/.", str(end)])
        return
    ignored = Ignored(SOURCE / ".dockerignore")
    for file in sorted(path for path in start.rglob("*") if path.is_file()):
        if not ignored(str(file.relative_to(SOURCE))):
            there = end / file.relative_to(start)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, there)


def _try(final: Debian, stage: Stage, folder: Path) -> None:
    """Its own user, a root that is read-only, and one place to write to."""
    books = folder / "image-books"
    shutil.rmtree(books, ignore_errors=True)
    books.mkdir()
    user = stage.of("USER")[0].text
    shutil.chown(books, *map(int, user.split(":")))
    [entry] = stage.of("ENTRYPOINT")

    def inside(*arguments: str) -> list[str]:
        return final.entering(
            arguments,
            user=user,
            folder=stage.of("WORKDIR")[0].text,
            environment=stage.environment(),
            writable={BOOKS: books},
        )

    def chargeback(*arguments: str) -> str:
        return run(arguments[0], inside(*entry.exec_form, *arguments))

    say("Version", chargeback("--version").strip())
    refused = run("read-only", inside("sh", "-c", "touch /opt/chargeback/x 2>&1 || id -u"))
    if "Read-only" not in refused or "10001" not in refused:
        raise NotPossible(f"the root can be written to, or the user is another: {refused}")
    say("Root", "read-only; the user is " + user)
    demo = chargeback("demo", "--no-serve")
    say("Demo", next(line for line in demo.splitlines() if line.startswith("Verified")))
    say("", next(line for line in demo.splitlines() if line.startswith("Done")))
    chargeback("db", "upgrade")
    _run_and_end(inside(*entry.exec_form, *stage.of("CMD")[0].exec_form), stage)


def _run_and_end(command: list[str], stage: Stage) -> None:
    """Start it as the engine would, ask it by its own health check, and stop it as process 1."""
    began = time.monotonic()
    with subprocess.Popen(command, stderr=subprocess.PIPE) as running:
        try:
            first = _await_health(running, stage)
            say("Run", f"healthy after {time.monotonic() - began:.1f} s, no broker there")
            began = time.monotonic()
            os.kill(first, signal.SIGTERM)
            code = running.wait(_DRAINS_S)
        except subprocess.TimeoutExpired:
            raise NotPossible(f"SIGTERM did not end process 1 in {_DRAINS_S:.0f} s") from None
        finally:
            running.kill()
    if code != 0:
        raise NotPossible(f"SIGTERM ended process 1 with {code}")
    say("Stop", f"SIGTERM to process 1: exit 0 after {time.monotonic() - began:.1f} s")


def _await_health(running: "subprocess.Popen[bytes]", stage: Stage) -> int:
    """The process that is number 1 inside, once the image's health check passes."""
    [check] = stage.of("HEALTHCHECK")
    _, *arguments = check.exec_form
    environment = {**stage.environment(), "PATH": PATH}
    deadline = time.monotonic() + _STARTS_S
    while time.monotonic() < deadline and running.poll() is None:
        asked = subprocess.run(
            ["python3", *arguments], env=environment, capture_output=True, check=False
        )
        if asked.returncode == 0:
            children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text()
            return int(children.split()[0])
        time.sleep(0.2)
    raise NotPossible(f"the health check never passed; the worker ended with {running.poll()}")
