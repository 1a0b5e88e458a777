"""Reading rules in a test: the rules of a document, or the faults that it is refused for."""

import pytest

from chargeback_worker.allocation.directory import EMPTY, Directory, Member, Team
from chargeback_worker.allocation.rule import Rule
from chargeback_worker.allocation.writing.faults import Fault, RulesRefused
from chargeback_worker.allocation.writing.rules import read_rules
from tests.support.written_documents import LABELS

OPS = Directory(1, (Team("ops", (Member("teamster"), Member("ops-lead"))), Team("both")))


def read(document: object, directory: Directory = EMPTY) -> tuple[Rule, ...]:
    return read_rules(document, labels=LABELS, directory=directory)


def refusal(document: object) -> RulesRefused | None:
    try:
        read(document, OPS)
    except RulesRefused as refused:
        return refused
    return None


def read_one(**fields: object) -> Rule:
    (rule,) = read({"rule_id": "r", "rule_type": "by_usage", **fields})
    return rule


def faults(document: object, directory: Directory = EMPTY) -> tuple[Fault, ...]:
    with pytest.raises(RulesRefused) as refused:
        read(document, directory)
    return refused.value.faults


def faults_of(**fields: object) -> tuple[Fault, ...]:
    return faults({"rule_id": "r", "rule_type": "by_usage", **fields})


def kind_of(**fields: object) -> str:
    (fault,) = faults_of(**fields)
    return fault.kind


def metadata(**fields: object) -> dict[str, object]:
    return {"allocation_metadata": fields}
