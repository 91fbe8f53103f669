"""What a check does when a function goes wrong at its k-th call: no error of our own, nothing lost.

The table in docs/reliability.md is that of ``python -m benchmarks.injected_faults``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from injected_faults import FAULTS, FORMS, calls_of, injected, outcomes

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
ROWS = dict(
    re.findall(r"^\| (\w[^|]*) \| ([^|]*) \| [\d,]+ \| nothing \|$", PAGE.read_text(), re.M)
)
WISHES = [
    "Ctrl-C, a real signal",
    "raises SystemExit",
    "raises GeneratorExit",
    "calls pytest.skip",
    "raises unittest.SkipTest",
    "calls pytest.exit",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_call_leaves_nothing_changed_and_ends_as_the_page_says(fault: str) -> None:
    found = outcomes(fault, every=29)
    assert {where: outcome.changed for where, outcome in found.items() if outcome.changed} == {}
    said = {outcome.said for outcome in found.values()}
    assert said <= set(re.findall(r"([\w`-][\w `-]*?) \(\d+\)", ROWS[fault]))


def test_the_page_has_a_row_for_each_fault() -> None:
    assert set(ROWS) == set(FAULTS)


@pytest.mark.parametrize("wish", WISHES)
def test_a_users_wish_passes_through_at_every_call(wish: str) -> None:
    said = {outcome.said for outcome in outcomes(wish, every=2).values()}
    assert said == {"passes through"}


@pytest.mark.parametrize("fault", ["calls gradcheck", "calls gradcheck in a thread"])
def test_a_check_within_a_check_disturbs_neither(fault: str) -> None:
    assert {outcome.said for outcome in outcomes(fault, every=5).values()} == {"ok"}


@pytest.mark.parametrize("fault", ["returns 1e300 times as much", "returns Inf", "returns NaN"])
@pytest.mark.parametrize("form", FORMS)
def test_our_own_arithmetic_raises_nothing_where_numpy_is_reported_to_raise(
    form: str, fault: str
) -> None:
    with np.errstate(all="raise"):
        for number in range(1, min(calls_of(form), 12)):
            assert injected(form, fault, number).changed == ()
