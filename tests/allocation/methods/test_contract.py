"""What holds for every method in the table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargeback_worker.allocation.methods import METHODS
from chargeback_worker.allocation.rule import DEFAULT
from tests.support import made_rules
from tests.support.laws import law


def test_the_table_holds_those_that_rules_may_name_and_the_reserved_one() -> None:
    assert METHODS.keys() == {*made_rules.TYPES, DEFAULT.rule_type}


@pytest.mark.parametrize("name", made_rules.TYPES)
@law(30)
@given(st.data())
def test_a_method_never_widens_a_rule_and_has_a_word_for_it(name: str, data: st.DataObject) -> None:
    rule = data.draw(made_rules.versions(("project",), types=[name]))
    method = METHODS[name]
    assert rule.narrowed.covers(method.claims(rule))
    assert method.says(rule)[0].islower()
    assert not method.says(rule).endswith(".")
    assert list(method.check(rule)) == []


def test_the_reserved_method_takes_everything() -> None:
    method = METHODS[DEFAULT.rule_type]
    assert method.claims(DEFAULT).takes_all
    assert method.says(DEFAULT) == (
        "leaves usage with the team and user it belongs to, and what has no owner unallocated"
    )
