"""docs/deploy.md names files, commands and targets that there are."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from tests.support.command_lines import parsed

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/deploy.md").read_text()
BLOCKS = re.findall(r"(?ms)^```sh\n(.*?)^```$", PAGE)
LINES = [line for block in BLOCKS for line in block.splitlines()]
FILES = sorted(set(re.findall(r"\b(?:deploy|docs|config|requirements)/[\w./-]*\w", PAGE)))
# What the reader's own steps make.
MADE = ("deploy/secrets",)


@pytest.mark.parametrize("named", FILES)
def test_a_file_that_is_named_is_there(named: str) -> None:
    assert named in MADE or (ROOT / named).exists()


def test_a_command_of_ours_is_one() -> None:
    ours = [line.partition("chargeback ")[2] for line in LINES if re.match(r"chargeback ", line)]
    inside = [line.rpartition(" chargeback ")[2] for line in LINES if " exec " in line]
    told = re.findall(r"`chargeback ([a-z][a-z -]*)`", PAGE)
    assert len(ours) >= 4
    assert len(inside) == 2
    assert len(told) >= 3
    for words in (*ours, *inside, *told):
        parsed(shlex.split(words))


def test_a_target_of_make_is_in_the_makefile() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text()))
    told = set(re.findall(r"\bmake ([a-z][a-z-]+)", PAGE))
    assert told
    assert told <= targets


def test_the_services_and_the_components_that_it_speaks_of_are_there() -> None:
    services = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())["services"]
    assert {"migrate", "topics", "worker", "postgres"} <= set(services)
    for name in re.findall(r"`components/(\w+)`", PAGE):
        assert (ROOT / "deploy/kubernetes/components" / name / "kustomization.yaml").exists()
