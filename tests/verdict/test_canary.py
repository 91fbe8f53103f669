"""Planted faults: a check that passes proves that it would have failed."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Finding, Report, Settings, check_gradients
from pytest_gradcheck.context import Context, use_context
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.verdict.canary import unnoticed
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.jacobian.canary import unnoticed_in_matrix
from pytest_gradcheck.verdict.jacobian.entries import Grid, Table
from pytest_gradcheck.verdict.judge import judge

Array = npt.NDArray[np.float64]

FAULTS = ("x 1.01", "the sign", "zero", "neighbour's value", "transposed")


def planted(gradient: Array, relative_bar: float, kind: str = "smooth") -> tuple[Finding, ...]:
    """Plant faults in a right gradient that is known to a part of its largest component."""
    n = gradient.size
    flat = gradient.reshape(-1)
    bars = np.full(n, relative_bar * np.abs(flat).max())
    kinds = np.full(n, Kind[kind.upper()], np.int8)
    approximation = Approximation(flat.copy(), bars, kinds, slice(0, n), {})
    theta = Theta({"W": np.ones(gradient.shape)})
    judgement = judge(approximation, flat, theta, Settings())
    comparison = Comparison(approximation, flat, judgement, theta, Settings())
    return unnoticed(comparison, "given")


MATRIX = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_narrow_error_bars_let_no_planted_fault_pass() -> None:
    assert planted(MATRIX, 1e-6) == ()


@pytest.mark.parametrize(
    ("bar", "missed"),
    [
        (1e-3, ()),
        (2e-2, ("x 1.01",)),
        (0.4, ("x 1.01", "neighbour's value", "transposed")),
        (3.0, FAULTS),
    ],
)
def test_wide_error_bars_let_the_small_faults_pass_first(bar: float, missed: tuple[str]) -> None:
    found = planted(MATRIX, bar)
    assert [any(fault in f.message for f in found) for fault in FAULTS] == [
        fault in missed for fault in FAULTS
    ]
    assert len(found) == len(missed)


def test_a_fault_that_went_unnoticed_is_a_cause_that_names_its_parameter() -> None:
    (found,) = planted(MATRIX, 2e-2)
    assert (found.code, found.severity, found.parameter) == ("canary", "cause", "W")
    assert "W: a planted fault (W[1, 2] x 1.01) went unnoticed" in found.message


def test_what_is_no_fault_is_not_planted() -> None:
    symmetric = np.array([[1.0, 2.0], [2.0, 1.0]])
    assert not any("transposed" in f.message for f in planted(symmetric, 3.0))
    constant = np.full(4, 2.0)
    assert not any("neighbour" in f.message for f in planted(constant, 3.0))


@pytest.mark.parametrize("gradient", [np.zeros((2, 2)), np.array([0.0])])
def test_nothing_is_planted_where_the_gradient_is_zero(gradient: Array) -> None:
    assert planted(gradient, 3.0) == ()


@pytest.mark.parametrize("kind", ["kink", "jump"])
def test_nothing_is_planted_where_the_cost_is_not_smooth(kind: str) -> None:
    assert planted(MATRIX, 3.0, kind) == ()


def test_the_gradient_that_was_handed_over_stays_as_it_is() -> None:
    gradient = MATRIX.copy()
    planted(gradient, 1e-6)
    np.testing.assert_array_equal(gradient, MATRIX)


def check(offset: float, fault: float = 0.0, canary: bool = True) -> Report:
    x = np.random.default_rng(9).uniform(0.2, 0.8, 5)
    with use_context(Context(canary=canary)):
        return check_gradients(
            lambda x: float(np.sin(x).sum()) + offset,
            lambda x: np.cos(x) * (1 + fault * (np.arange(5) == 2)),
            x,
        )


def test_a_healthy_check_passes_with_planted_faults() -> None:
    report = check(0.0)
    assert report.passed
    assert report.findings == ()


def test_planted_faults_cost_no_call_of_the_cost() -> None:
    assert check(0.0).evaluations == check(0.0, canary=False).evaluations


@pytest.mark.parametrize("canary", [False, True])
def test_a_check_that_would_have_missed_a_fault_passes_only_without_the_proof(canary: bool) -> None:
    def cost(p: dict[str, Array]) -> float:
        noise = zlib.crc32(p["a"].tobytes() + p["b"].tobytes()) / 2**31 - 1
        return float(1e-8 * p["a"].sum() + np.exp(p["b"]).sum()) + 1e-6 * noise

    with use_context(Context(canary=canary)):
        report = check_gradients(
            cost,
            lambda p: {"a": np.full(2, 1e-8), "b": np.exp(p["b"])},
            {"a": np.ones(2), "b": np.ones(2)},
        )
    assert report.passed is not canary
    missed = {f.parameter for f in report.findings if f.code == "canary"}
    assert missed == ({"a"} if canary else set())


def test_nothing_is_planted_in_a_gradient_that_is_wrong_already() -> None:
    report = check(0.0, fault=0.5)
    assert not report.passed
    assert "canary" not in {f.code for f in report.findings}


def planted_in_matrix(relative_bar: float) -> set[str]:
    """Plant faults in a right matrix that is known to a part of its largest entry, by name."""
    n = MATRIX.size
    flat, none = MATRIX.T.reshape(-1), np.zeros(n, np.int8)
    bars = np.full(n, relative_bar * np.abs(flat).max())
    table = Table(Grid(np.arange(3), 2), flat, flat.copy(), bars, none, np.zeros(n), none)
    found = unnoticed_in_matrix(table, Theta({"W": np.ones(3)}), 1e-5, "given")
    return {finding.message.partition("(")[2].partition(")")[0] for finding in found}


@pytest.mark.parametrize(
    ("bar", "missed"),
    [
        (1e-3, set()),
        (2e-2, {"the largest entry x 1.01"}),
        (1.1, {"the largest entry x 1.01", "zero", "the sign of the smallest row"}),
        (3.0, {"the largest entry x 1.01", "zero", "the sign of the smallest row", "the sign"}),
    ],
)
def test_wide_error_bars_of_a_matrix_let_the_small_faults_pass_first(
    bar: float, missed: set[str]
) -> None:
    assert planted_in_matrix(bar) == missed
