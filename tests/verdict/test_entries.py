"""Verdicts on entries of a matrix, one by one, beside their own outputs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest

from pytest_gradcheck import Settings, check_gradients
from pytest_gradcheck.numdiff.jacobian.slopes import Slopes, Target, classical_slopes
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.verdict.jacobian.entries import Entries, judge_entries
from pytest_gradcheck.verdict.judge import Verdict


def verdicts(values: list[float], analytic: list[float]) -> list[Verdict]:
    """Judge the slopes of one output, all with error bars of 1."""
    column = np.array(values)[:, None]
    count = column.size
    slopes = Slopes(
        column,
        np.ones((count, 1)),
        np.zeros((count, 1), np.int8),
        np.zeros((count, 1), np.float32),
        {},
        [[] for _ in values],
    )
    entries = Entries(np.arange(count), Target(np.array(analytic)[:, None], 1e-5), slopes)
    judged = judge_entries(entries, Settings())
    return [Verdict(code) for code in judged.codes[:, 0].tolist()]


@pytest.mark.parametrize("moved", [0.0, 0.5, 1.0])
def test_small_slopes_agree_with_an_output_that_moves_by_its_error_bars_at_most(
    moved: float,
) -> None:
    assert verdicts([moved, -moved], [1e-3, -5e-4]) == [Verdict.OK] * 2
    assert verdicts([moved, -1.0005], [1e-3, -1e-3]) == [Verdict.INCONCLUSIVE] * 2
    assert verdicts([moved, -moved], [1e-3, -5e-3]) == [Verdict.INCONCLUSIVE] * 2


@pytest.mark.parametrize("mode", ["full", "probe"])
def test_outputs_have_figures_of_their_own_at_sizes_180_decades_apart(
    mode: Literal["full", "probe"],
) -> None:
    sizes = np.array([1e90, 1e-90])

    def outputs(x: Any) -> Any:
        return sizes * np.sin(x)

    def jacobian(x: Any) -> Any:
        return np.diag(sizes * np.cos(x) * [1, 2])

    report = check_gradients.jacobian(outputs, jacobian, np.ones(2), mode=mode, locate=False)
    right, wrong = report.points[0].outputs
    assert right.relative_error < 1e-6
    assert wrong.relative_error == pytest.approx(1 / 3, rel=1e-6)


def test_slopes_of_the_classical_check_are_smooth_but_where_a_cost_is_lost() -> None:
    sides = SimpleNamespace(up=np.array([3.0, np.nan]), down=np.array([1.0, 1.0]))
    calls: Any = SimpleNamespace(outputs0=np.zeros(2), sides=lambda *_: sides)
    direction: Any = None
    slopes = classical_slopes(calls, [direction], 0.5)
    assert slopes.values[0, 0] == 2.0
    assert slopes.kinds.tolist() == [[Kind.SMOOTH, Kind.NONFINITE]]
