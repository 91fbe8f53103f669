"""A penalty that hides the data term is said to, with the ratio in numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.diagnosis.twins import HIDES, dominated
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.report.report import Finding

Array = npt.NDArray[np.float64]

PARAMETERS = Theta({"W": np.zeros((2, 2)), "b": np.zeros(2)}).selected


def approximation(values: Any, checked: Any = True) -> Approximation:
    array = np.asarray(values, np.float64)
    return Approximation(
        array,
        np.zeros(array.shape),
        np.zeros(array.shape, np.int8),
        np.flatnonzero(np.broadcast_to(np.asarray(checked), array.shape)),
        {},
    )


def found(
    penalty: list[float], data: list[float], checked: tuple[Any, Any] = (True, True)
) -> tuple[Finding, ...]:
    whole = np.add(penalty, data)
    return dominated(
        approximation(whole, checked[0]), approximation(data, checked[1]), PARAMETERS, "given"
    )


def test_a_penalty_that_hides_the_data_is_reported_with_the_ratio_of_the_norms() -> None:
    (finding,) = found([300.0, 0, 400.0, 0, 0, 0], [0, 0.6, 0, 0.8, 5.0, 5.0])
    assert (finding.code, finding.severity, finding.parameter, finding.point) == (
        "dominated",
        "warning",
        "W",
        "given",
    )
    assert finding.factor == pytest.approx(500)
    assert "500 x the data's (norms 500 and 1)" in finding.message


@pytest.mark.parametrize(("ratio", "count"), [(0.9 * HIDES, 0), (1.1 * HIDES, 2)])
def test_only_a_ratio_beyond_the_bound_hides(ratio: float, count: int) -> None:
    assert len(found([ratio] * 6, [1.0] * 6)) == count


def test_every_parameter_is_judged_by_itself() -> None:
    findings = found([1000.0] * 4 + [0.0] * 2, [1.0] * 6)
    assert [finding.parameter for finding in findings] == ["W"]


def test_a_penalty_that_cancels_the_data_is_measured_by_what_it_adds() -> None:
    (finding,) = found([-1000.0] * 4 + [0.0] * 2, [1.0] * 6)
    assert finding.factor == pytest.approx(1000)


def test_where_there_is_no_data_term_nothing_is_hidden() -> None:
    assert found([1000.0] * 6, [0.0] * 4 + [1000.0] * 2) == ()


def test_components_that_only_one_point_looked_at_are_left_out() -> None:
    first, second = [True, True, False, False, True, True], [False, True, True, False, True, True]
    findings = found([1e9, 1.0, 1e9, 1e9, 1.0, 1.0], [1.0] * 6, (first, second))
    assert findings == ()


def test_components_without_a_value_are_left_out() -> None:
    findings = found([math.nan, 1000.0, math.inf, 1000.0, 0.0, 0.0], [1.0] * 6)
    assert [finding.parameter for finding in findings] == ["W"]
    assert findings[0].factor == pytest.approx(1000)


@pytest.mark.parametrize("scale", [1e-300, 1e300])
def test_the_scale_of_the_cost_does_not_matter(scale: float) -> None:
    findings = found([1000.0 * scale] * 6, [scale] * 6)
    assert [finding.factor for finding in findings] == pytest.approx([1000, 1000])


def test_a_ratio_beyond_all_floats_is_reported_as_well() -> None:
    findings = found([1e300] * 6, [1e-300] * 6)
    assert [finding.factor for finding in findings] == [math.inf, math.inf]


def test_nothing_that_was_looked_at_is_no_finding() -> None:
    assert found([1000.0] * 6, [1.0] * 6, (False, True)) == ()
