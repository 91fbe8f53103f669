"""Checks of a few hundred random problems agree with the exact gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from random_problems.conditions import CONDITIONS
from random_problems.labels import can_be_decided, labelled, may_be_blamed
from random_problems.planting import planted_outcome
from random_problems.problems import Problem, problem
from random_problems.programs import Array, Core
from random_problems.running import FAILURES, Outcome, checked, outcome
from random_problems.shapes import SHAPES, call
from random_problems.tables import failures, naming, table, undecided

from pytest_gradcheck import Report

HELD = frozenset(
    {
        *("plain", "smooth", "one scale", "tiny weights", "dead units", "saturated"),
        *("small cost", "large cost", "penalty", "unused"),
    }
)
"""Conditions in which no check may go wrong."""


@pytest.fixture(scope="module")
def outcomes() -> Sequence[Outcome]:
    """Return what became of a few hundred problems."""
    quick = [one for one in map(problem, range(240)) if "wide" not in one.condition]
    return [outcome(one, "full") for one in quick]


def test_no_check_cries_wolf_misses_or_falls_over(outcomes: Sequence[Outcome]) -> None:
    held = [one for one in outcomes if one.condition in HELD and one.shape != "remembering"]

    assert len(held) > 80
    assert [line for line in failures(held, 10) if not line.startswith("named")] == []


def test_hardly_a_cause_is_named_wrong(outcomes: Sequence[Outcome]) -> None:
    named = [one.named for one in outcomes if one.named]

    assert named.count("wrong") <= 2
    assert named.count("right") > 4 * named.count("due")


def test_faults_of_twice_the_stated_resolution_are_found() -> None:
    quick = [one for one in map(problem, range(120)) if one.condition in HELD]
    planted = [planted_outcome(one, "full") for one in quick if one.fault == "none"]
    found = [one for one in planted if one is not None]

    assert len(found) > 10
    assert list(failures(found, 10)) == []


def test_problems_come_in_every_condition_and_shape(outcomes: Sequence[Outcome]) -> None:
    assert {one.condition for one in outcomes} == {n for n in CONDITIONS if "wide" not in n}
    assert {one.shape for one in outcomes} - {"hessian"} == set(SHAPES)
    assert {"right", "visible"} <= {one.label for one in outcomes}


def test_a_seed_gives_the_same_problem_again() -> None:
    first, second = problem(5), problem(5)

    assert (first.condition, first.shape, first.fault) == (
        second.condition,
        second.shape,
        second.fault,
    )
    for one, other in zip(first.values, second.values, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_right_gradient_is_labelled_right_and_a_visible_fault_is_wrong_somewhere() -> None:
    for seed in range(40):
        one = problem(seed)
        label = labelled(one, call(one))
        if label.kind == "right":
            assert max(label.wrong().values()) == 0
        if label.kind == "visible":
            assert max(label.wrong().values()) > 1e-4


def test_the_table_counts_every_problem_and_lists_failures_by_seed() -> None:
    about = ("plain", "flat", "sign", "visible")
    made = [
        Outcome(1, *about, "agreed", "right", 4, 4, 0, 8, 0.0, ""),
        Outcome(2, *about, "missed", "", 4, 4, 1, 8, 0.0, "ok"),
    ]

    rows = [line.split() for line in table(made, "condition", lambda one: one.condition)]
    assert rows[1][:2] == ["plain", "2"]
    assert rows[1][-1] == "1.00"
    assert [line.split()[:2] for line in failures(made, 5)] == [["missed", "2"]]
    assert "missed" in FAILURES
    assert next(line for line in undecided(made) if "wrong" in line).endswith(": 12.50 %")
    assert [line.split() for line in naming(made)][1] == ["sign", "1"]


def test_an_operation_that_rounds_coarsely_depends_on_a_parameter() -> None:
    chosen = [one for one in map(problem, range(1000)) if one.condition == "one coarse"]

    assert len(chosen) > 20
    for one in chosen:
        steps = one.drawn.program.steps
        coarse = [number for number, step in enumerate(steps) if step.rounding]
        assert len(coarse) == 1
        assert coarse[0] in one.drawn.moved_steps
        assert not any(step.rounding for step in one.drawn.unrounded.program.steps)


def test_a_right_gradient_is_blind_only_where_rounding_hides_every_component(
    outcomes: Sequence[Outcome],
) -> None:
    coarse = [one for one in map(problem, range(600)) if one.condition == "one coarse"]

    assert not {one.condition for one in outcomes if one.result == "blind"} & HELD
    assert 0 < sum(map(can_be_decided, coarse)) < len(coarse)


def test_what_is_blind_has_a_column_of_its_own() -> None:
    about = ("coarse", "flat", "none", "right")
    made = [
        Outcome(1, *about, "blind", "", 4, 4, 4, 8, 0.0, ""),
        Outcome(2, *about, "agreed", "", 4, 4, 0, 8, 0.0, ""),
    ]

    head, row = (line.split() for line in table(made, "condition", lambda one: one.condition))
    assert row[head.index("blind") - len(head) + len(row)] == "1"


def tied(given: Sequence[float]) -> Problem:
    """Return the sum of the larger of two numbers and the larger of two others, all at ties."""

    def output(values: Sequence[Array]) -> Array:
        return np.asarray(values[0].reshape(2, 2).max(axis=1).sum())

    def exact(values: Sequence[Array], upstream: Array) -> list[Array]:
        chosen = np.zeros((2, 2))
        chosen[[0, 1], values[0].reshape(2, 2).argmax(axis=1)] = upstream
        return [chosen.ravel()]

    one = next(one for one in map(problem, range(1000)) if one.shape == "flat")
    core = Core(output, lambda values, upstream: [upstream * np.array(given)], exact)
    values = [np.array([1.0, 1.0, 2.0, 2.0])]
    return replace(one, condition="ties", fault="zero", core=core, penalty=None, values=values)


@pytest.mark.parametrize(
    ("given", "blamed"),
    [
        ([0.0, 0.0, 1.0, 0.0], [1]),  # none of the first two gets the slope that either may have
        ([1.0, 0.0, 0.0, 0.0], [3]),
        ([0.0, 0.0, 0.0, 0.0], [1, 3]),
        ([3.0, 0.0, 1.0, 0.0], []),  # wrong however the tie is decided
        ([1.0, 0.0, 1.0, 0.0], []),
    ],
)
def test_either_of_two_that_tie_may_be_blamed(given: Sequence[float], blamed: list[int]) -> None:
    one = tied(given)
    made = call(one)
    right = np.flatnonzero(np.array(given) == [1, 0, 1, 0]).tolist()

    assert [place for place in right if may_be_blamed(one, made, 0, place)] == blamed


def test_a_tiny_output_may_be_blamed_that_weights_hide_beside_others() -> None:
    exact, given = np.array([[1.0, 1.0], [0.0, 1e-24]]), np.array([[1.0, 1.0], [0.0, 3e-24]])
    core = Core(
        lambda values: exact @ values[0],
        lambda values, upstream: [upstream @ given],
        lambda values, upstream: [upstream @ exact],
    )
    one = next(one for one in map(problem, range(1000)) if one.shape == "vjp")
    one = replace(one, fault="factor", core=core, penalty=None, values=[np.ones(2)])
    made = call(one)

    assert max(labelled(one, made).wrong().values()) == 0
    assert [may_be_blamed(one, made, 0, place) for place in (0, 1)] == [False, True]


def test_to_say_that_too_much_is_wrong_to_be_named_names_nothing_wrong() -> None:
    one = problem(2600310)
    _, report, _ = checked(one, "probe")

    assert isinstance(report, Report)
    assert {cause.code for cause in report.findings} == {"unnamed"}
    assert outcome(one, "probe").named in ("due", "not")
