"""Faults that people make in a backprop, planted one at a time: each is caught where it is."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from network_faults import (
    FAULTS,
    FAULTS_AFTER_TRAINING,
    REFUSED,
    Fault,
    Refused,
    with_line,
)

from pytest_gradcheck import ProblemError, Report
from pytest_gradcheck.api import check_problem
from pytest_gradcheck.network import activations, model

STEPS = 20
TOLD = ("scale", "sign", "zero")
"""Codes that are sure whenever a fault of that kind is planted."""

MODES: dict[str, dict[str, Any]] = {
    "full": {"mode": "full"},
    "sample": {"mode": "sample", "samples": 10},  # of up to 30
}


def named(fault: Fault | Refused) -> str:
    return fault.name.replace(" ", "-")


every_fault = pytest.mark.parametrize("fault", FAULTS, ids=named)
unlike = {f"{f.sizes} {sorted(f.data.items(), key=str)} {f.module.__name__}": f for f in FAULTS}
every_kind = pytest.mark.parametrize("fault", unlike.values(), ids=named)
every_late_fault = pytest.mark.parametrize("fault", FAULTS_AFTER_TRAINING, ids=named)


def checked(fault: Fault, **settings: Any) -> Report:
    return check_problem(fault.problem(seed=0, **settings), raising=False)


@cache
def in_mode(name: str, mode: str) -> Report:
    (fault,) = (fault for fault in FAULTS if fault.name == name)
    return checked(fault, **MODES[mode])


def wrong_parameters(report: Report) -> set[str]:
    return {
        parameter.name
        for point in report.points
        for parameter in point.parameters
        if parameter.verdict != "ok"
    }


def causes(report: Report) -> set[str]:
    return {finding.code for finding in report.findings if finding.severity == "cause"}


def test_there_are_at_least_forty_faults_each_with_a_name_of_its_own() -> None:
    faults = [*FAULTS, *FAULTS_AFTER_TRAINING]
    assert len({(fault.module.__name__, fault.line, fault.instead) for fault in FAULTS}) >= 40
    assert len({fault.name for fault in faults}) == len(faults)


@every_fault
@pytest.mark.parametrize("mode", MODES)
def test_a_fault_is_caught_at_exactly_the_parameters_that_it_spoils(
    fault: Fault, mode: str
) -> None:
    report = in_mode(fault.name, mode)
    assert not report.passed
    assert wrong_parameters(report) == fault.parameters
    assert {component.verdict for component in report.components} <= {"suspect", "bug"}


@every_kind
def test_the_pair_without_the_fault_passes(fault: Fault) -> None:
    report = check_problem(fault.problem(planted=False, seed=0), raising=False)
    assert (report.passed, report.verdict, causes(report)) == (True, "ok", set())


@every_fault
def test_no_cause_is_named_but_the_right_one(fault: Fault) -> None:
    found = causes(in_mode(fault.name, "full"))
    assert found <= {fault.cause}
    assert found or fault.cause not in TOLD


@every_late_fault
def test_a_fault_that_the_start_hides_passes_there(fault: Fault) -> None:
    assert checked(fault).passed


@every_late_fault
def test_a_fault_that_the_start_hides_is_caught_after_training(fault: Fault) -> None:
    report = checked(fault, train=STEPS)
    late = {point.name: point.passed for point in report.points if "penalty" not in point.name}
    assert late == {
        "random initialization 1": True,
        f"random initialization 1, after {STEPS} steps": False,
    }
    assert wrong_parameters(report) == fault.parameters


@every_late_fault
def test_training_alone_makes_no_fault(fault: Fault) -> None:
    right = fault.problem(planted=False, seed=0, train=STEPS)
    assert check_problem(right, raising=False).verdict == "ok"


@pytest.mark.parametrize("refused", REFUSED, ids=named)
def test_a_fault_that_leaves_nothing_to_compare_is_an_error_that_names_the_entry(
    refused: Refused,
) -> None:
    with pytest.raises(ProblemError, match=refused.names) as error:
        check_problem(refused.problem(), raising=False)
    assert error.value.code == refused.code


def test_the_backward_pass_of_dropout_is_seen_under_one_mask_only() -> None:
    """Dropout off, as it is by default, never runs the lines in which these faults are."""
    of_dropout = [fault for fault in FAULTS if "dropout" in fault.settings]
    assert len(of_dropout) >= 5
    for fault in of_dropout:
        assert checked(fault, dropout="off").passed, fault.name


def test_a_fault_in_a_line_that_is_not_there_is_no_fault() -> None:
    with pytest.raises(LookupError, match="has 0 times, and not once, 'dW = 0'"):
        with_line(model, "dW = 0", "dW = 1")


def test_a_fault_in_a_line_that_is_there_twice_is_no_fault() -> None:
    with pytest.raises(LookupError, match="activations has 8 times"):
        with_line(activations, "z : array, any shape", "")
