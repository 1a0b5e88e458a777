"""A Dockerfile as its stages and steps: as much of the format as ours uses, refusing the rest."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

KNOWN = frozenset(
    [
        "FROM",
        "RUN",
        "COPY",
        "ENV",
        "WORKDIR",
        "USER",
        "LABEL",
        "EXPOSE",
        "HEALTHCHECK",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
    ]
)


@dataclass(frozen=True)
class Step:
    """One instruction: its word, the options before its arguments, and the rest as one text."""

    word: str
    options: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        return self.text.split()

    @property
    def exec_form(self) -> list[str]:
        """The arguments of a command that no shell reads. ValueError where one would."""
        found = json.loads(
            self.text.removeprefix("CMD ") if self.word == "HEALTHCHECK" else self.text
        )
        assert isinstance(found, list)
        return [str(word) for word in found]


@dataclass(frozen=True)
class Stage:
    """What begins with FROM: an image's name, or an earlier stage's."""

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def of(self, word: str) -> list[Step]:
        return [step for step in self.steps if step.word == word]

    def environment(self) -> dict[str, str]:
        pairs = [pair.partition("=") for step in self.of("ENV") for pair in step.words]
        return {name: value for name, _, value in pairs}


def read(path: Path) -> list[Stage]:
    """The stages of a Dockerfile, in order."""
    stages: list[Stage] = []
    for line in _logical_lines(path.read_text()):
        word, _, rest = line.partition(" ")
        assert word in KNOWN, f"{path.name}: {word} is not known here"
        step = _step(word, rest.strip())
        if word == "FROM":
            base, *named = step.words
            stages.append(Stage(base, named[1] if named else ""))
        else:
            stages[-1].steps.append(step)
    return stages


def _logical_lines(text: str) -> Iterator[str]:
    """A comment ends no line that is continued."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return (line.strip() for line in joined.splitlines() if line.strip())


def _step(word: str, text: str) -> Step:
    options: dict[str, str] = {}
    while found := re.match(r"--([a-z-]+)=(\S+)\s+", text):
        options[found[1]] = found[2]
        text = text[found.end() :]
    return Step(word, options, re.sub(r" {2,}", " ", text) if word == "RUN" else text)


class Ignored:
    """What a .dockerignore keeps from the builder: the last line that fits a path decides."""

    def __init__(self, path: Path) -> None:
        lines = [line.strip() for line in path.read_text().splitlines()]
        self._lines = [line for line in lines if line and not line.startswith("#")]

    def __call__(self, path: str) -> bool:
        ignored = False
        parts = PurePosixPath(path)
        above = [str(parts), *(str(one) for one in parts.parents if str(one) != ".")]
        for line in self._lines:
            pattern = line.removeprefix("!")
            if any(_fits(one, pattern) for one in above):
                ignored = not line.startswith("!")
        return ignored


def _fits(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatchcase(PurePosixPath(path).name, pattern[3:])
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)
