"""A Debian root of its own: made by debootstrap, copied, entered, measured."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How this machine reaches a package index, whatever it is: variables, and the files they name.
_CARRIED = re.compile(r"(PIP|UV)_.*|.*_CA_BUNDLE|SSL_CERT_(FILE|DIR)|(https?|no|all)_proxy", re.I)
_CARRIED_FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/pip.conf", "/etc/uv/uv.toml")
_OF_HOME = (".config/pip/pip.conf", ".pip/pip.conf", ".config/uv/uv.toml", ".netrc")
HOME = "/home/stranger"
UID = 1000


class NotPossible(Exception):
    """A step failed; the message says which, and its last words."""


def say(what: str, text: str) -> None:
    print(f"{what:<8}  {text}", flush=True)


@dataclass(frozen=True)
class Debian:
    """A root folder. `packages` is what was asked for when it was made."""

    root: Path
    packages: tuple[str, ...]

    @classmethod
    def made(cls, root: Path, suite: str, mirror: str | None, packages: Sequence[str]) -> "Debian":
        """The smallest root with those packages, and this machine's way to the package index."""
        began = time.monotonic()
        if not (root / "etc/debian_version").exists():
            root.parent.mkdir(parents=True, exist_ok=True)
            asked = ["--variant=minbase", f"--include={','.join(packages)}", suite, str(root)]
            run("debootstrap", ["debootstrap", *asked, *_mirror(mirror)])
        found = cls(root, tuple(packages))
        if not (root / HOME.lstrip("/")).exists():
            # A server of PostgreSQL asks for the name of who starts it.
            found.run("useradd", ["useradd", "--create-home", f"--uid={UID}", "stranger"])
        found._carry_the_way_to_the_index()
        say("Debian", f"{suite} with {' '.join(packages)}: {found.mb()} MB, {_since(began)}")
        return found

    def copied(self, to: Path) -> "Debian":
        if to.exists():
            shutil.rmtree(to)
        run("copy", ["cp", "-a", "--reflink=auto", str(self.root), str(to)])
        return Debian(to, self.packages)

    def mb(self, inside: str = "") -> int:
        """MiB on the disk."""
        done = run("du", ["du", "-sxm", str(self.root / inside.lstrip("/"))])
        return int(done.split()[0])

    def carried_environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if _CARRIED.fullmatch(name)}

    def run(
        self,
        what: str,
        command: Sequence[str],
        *,
        user: str = "0:0",
        folder: str = "/",
        environment: Mapping[str, str] | None = None,
        shown: bool = False,
    ) -> str:
        """Run it inside, in namespaces of its own; what it wrote. Raises NotPossible."""
        inside = self.entering(command, user=user, folder=folder, environment=environment)
        return run(what, inside, shown=shown)

    def entering(
        self,
        command: Sequence[str],
        *,
        user: str = "0:0",
        folder: str = "/",
        environment: Mapping[str, str] | None = None,
        writable: Mapping[str, Path] | None = None,
    ) -> list[str]:
        """The command that runs `command` inside, as process 1 there.

        Where `writable` is given (by path inside), the root itself is read-only.
        """
        named = {"PATH": PATH, "HOME": "/", "LANG": "C.UTF-8", **(environment or {})}
        root, mounts = self.root, []
        if writable is not None:
            mounts.append(f'mount --bind "{root}" "{root}" && mount -o remount,bind,ro "{root}"')
            mounts.append(f'mount -t tmpfs tmpfs "{root}/tmp"')
            mounts += [
                f'mount --bind "{there}" "{root}{inside}"' for inside, there in writable.items()
            ]
        mounts.append(f'mount -t proc proc "{root}/proc"')
        # Locks between processes are files there, and terminals are opened by name.
        mounts.append(f'mkdir -p "{root}/dev/shm" "{root}/dev/pts"')
        mounts.append(f'mount -t tmpfs -o mode=1777 tmpfs "{root}/dev/shm"')
        mounts.append(f'mount -t devpts -o newinstance,ptmxmode=0666 devpts "{root}/dev/pts"')
        mounts.append(f'mount --bind "{root}/dev/pts/ptmx" "{root}/dev/ptmx"')
        enter = 'exec chroot --userspec="$1" "$0" /usr/bin/env -i -C "$2" "${@:3}"'
        pairs = [f"{name}={value}" for name, value in named.items()]
        script = " && ".join([*mounts, enter])
        apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
        return [*apart, "bash", "-c", script, str(root), user, folder, *pairs, *command]

    def _carry_the_way_to_the_index(self) -> None:
        """Copied, and named nowhere: which index it is stays this machine's business."""
        files = [Path(name) for name in _CARRIED_FILES]
        values = self.carried_environment().values()
        files += [Path(value) for value in values if value.startswith("/")]
        for file in files:
            if file.is_file():
                self._put(file, str(file))
        for name in _OF_HOME:
            if (found := Path.home() / name).is_file():
                self._put(found, f"{HOME}/{name}")
                self._put(found, f"/root/{name}")
        run("chown", ["chown", "-R", f"{UID}:{UID}", f"{self.root}{HOME}"])

    def _put(self, file: Path, inside: str) -> None:
        target = self.root / inside.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def run(what: str, command: Sequence[str], *, shown: bool = False) -> str:
    """What it wrote to standard output. Raises NotPossible with its last words."""
    written: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as running:
        assert running.stdout is not None
        for line in running.stdout:
            written.append(line)
            if shown:
                print(f"          {line}", end="", flush=True)
    if running.returncode:
        last = "".join(written[-20:])
        raise NotPossible(f"{what} ended with {running.returncode}:\n{last}")
    return "".join(written)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def _mirror(given: str | None) -> list[str]:
    """Where this machine takes its own packages from, if it can be seen; else debootstrap's."""
    if given:
        return [given]
    for path in [*sorted(Path("/etc/apt").glob("**/*.sources")), Path("/etc/apt/sources.list")]:
        text = path.read_text() if path.exists() else ""
        found = re.findall(r"^(?:URIs:|deb(?: \[[^\]]*\])?) +(\S+/debian)/?(?:\s|$)", text, re.M)
        if found:
            return [found[0]]
    return []
