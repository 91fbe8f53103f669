"""Parts of the checks of Jacobians, one by one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.jacobians import coloured, kinks, rows
from pytest_gradcheck.jacobians.unnamed import unnamed
from pytest_gradcheck.numdiff.jacobian import vectors
from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.numdiff.jacobian.slopes import Target
from pytest_gradcheck.numdiff.jacobian.vectors import slopes_along_vectors
from pytest_gradcheck.numdiff.ladder import SAFETY
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.problem.jacobian.matrices import SparseMatrix


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(4, "slopes of y0, y1, y2, y3 differ"), (6, "slopes of y0, y1, y2, y3 and 2 more outputs")],
)
def test_of_outputs_that_no_entry_explains_four_are_named_and_the_others_counted(
    wrong: int, said: str
) -> None:
    pair = SimpleNamespace(output_name="y{}".format, derivative_name="jac")
    work: Any = SimpleNamespace(pair=pair, settings=SimpleNamespace(search_calls=100))
    [finding] = unnamed(work, np.arange(8) < wrong, True, "a vector", "")
    assert said in finding.message


@pytest.mark.parametrize(("noise", "away"), [(0.0, kinks.AWAY), (1e-9, 0.03), (1e-6, 0.3)])
def test_points_nearby_are_thirty_first_steps_away_but_no_nearer_than_without_noise(
    noise: float, away: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kinks, "_loudness", lambda *_: np.zeros((2, 3)))
    levels = np.array([noise, noise, 1.0, noise])
    work: Any = SimpleNamespace(theta=Theta(np.ones(2)), noise=SimpleNamespace(relative=levels))
    entries: Any = SimpleNamespace(numbers=np.arange(2), analytic=np.zeros((2, 4)))
    judged: Any = None
    near = kinks._NearbyRows(work, entries, np.array([0, 1, 3]), judged)
    assert near._away == pytest.approx(away)


class Rows:
    """What is known of a matrix of two rows and three columns near a point."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kinks, "_loudness", lambda *_: np.zeros((3, 2)))
        noise = SimpleNamespace(relative=np.zeros(2))
        work: Any = SimpleNamespace(theta=Theta(np.full(3, 2.0)), noise=noise, seed=0)
        matrix = np.array([[1.0, -4.0, 2.0], [0.0, 0.0, 0.0]])
        entries: Any = SimpleNamespace(numbers=np.arange(3), analytic=matrix.T)
        judged: Any = None
        self.near = kinks._NearbyRows(work, entries, np.arange(2), judged)


def test_nudges_go_along_every_row_that_is_not_zero_and_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    along, against = list(Rows(monkeypatch).near._nudges(0))[kinks.ORDERLY :]
    assert along == pytest.approx(2 * kinks.AWAY * np.array([0.25, -1.0, 0.5]))
    assert against == pytest.approx(-along)


@pytest.mark.parametrize("first", kinks.MEANS[:2])
def test_means_of_limits_are_tried_after_as_many_nudges_as_are_listed(
    first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    near = Rows(monkeypatch).near
    monkeypatch.setattr(near, "_same_and_right", lambda _: np.zeros(2, np.bool_))
    monkeypatch.setattr(near, "_is_mean", lambda k: k == 1)
    for count, proved in ((first - 1, first != kinks.MEANS[0]), (first, True)):
        monkeypatch.setattr(near, "_nudges", lambda _, count=count: iter([np.zeros(3)] * count))
        assert near.proved(0).tolist() == [False, proved]


def test_the_last_means_are_of_the_limits_at_all_points_nearby() -> None:
    """Points after them would be of no use, and are not counted where memory is divided."""
    assert kinks.MEANS[-1] == kinks.ORDERLY + 2 * kinks.OWN + kinks.NUDGES


def test_a_slope_of_two_differences_has_the_noise_of_both() -> None:
    """Of (16 near - far) / 15, where each of the two may be off by its noise over its step."""
    matrix, theta, level = np.array([[1.0, -4.0], [0.5, 2.0]]), Theta(np.array([0.3, 0.7])), 1e-9
    calls = VectorEvaluator(
        lambda: matrix @ theta.cells(theta.parameters[0])[:], theta, matrix @ theta.base
    )
    noise = OutputNoise(np.full(2, level), np.ones(2), np.ones(2, np.bool_))
    along, direction = np.array([1.0, 0.5]), np.arange(2)
    found = slopes_along_vectors(
        calls,
        [Direction(direction, along, 1.0)],
        noise,
        Target((matrix @ along)[None], 1e-5),
        np.zeros((1, 2)),
    )
    [(step, _)] = found.steps[0]
    both = (16 / step + 1 / (vectors.OUTWARD * step)) / 15
    assert found.error_bars[0] == pytest.approx(np.full(2, SAFETY * level * both), rel=1e-3)


def test_a_large_matrix_that_is_a_little_wrong_throughout_is_not_searched() -> None:
    A = np.random.default_rng(0).normal(size=(2, 10_001))

    def calls(factor: float) -> int:
        report = check_gradients.jacobian(
            lambda x: A @ x, lambda x: factor * A, np.ones(10_001), locate=False
        )
        assert not report.passed
        return report.evaluations

    assert max(calls(1.0002), calls(1.5)) < 300  # a search takes thousands


def test_no_more_rows_are_asked_for_subgradients_than_a_search_may_take_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pair = SimpleNamespace(evaluations=100)
    work: Any = SimpleNamespace(
        pair=pair, settings=SimpleNamespace(search_calls=15, suspect=1e-5), theta=None
    )
    asked: list[int] = []

    def corrected(row: Any, _: Any) -> Any:
        asked.append(row)
        pair.evaluations += 10
        return SimpleNamespace(nearby=())

    for name in ("_approximation", "_noise", "_Row"):
        monkeypatch.setattr(rows, name, lambda *_: None)
    monkeypatch.setattr(rows, "_Calls", lambda *_: SimpleNamespace(row=lambda _: None))
    monkeypatch.setattr(rows, "corrected_at_kinks", corrected)
    entries: Any = SimpleNamespace(numbers=np.arange(3))
    assert rows.subgradients_instead(work, entries, np.arange(5), np.zeros((3, 5), np.bool_)) == {}
    assert len(asked) == 2


def test_a_row_between_limits_of_either_sign_is_in_their_hull(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    near = Rows(monkeypatch).near
    limits = [np.array([1.0, -4.0, 1.0]), np.array([1.0, -4.0, 3.0])]
    assert near._is_in_hull(0, limits)
    assert not near._is_in_hull(0, limits[:1])
    assert not near._is_in_hull(0, [])


@pytest.mark.parametrize(("band", "groups"), [(1, 1), (2, 2), (4, 4), (5, None)])
def test_columns_move_together_where_that_saves_half_of_them_at_least(
    band: int, groups: int | None
) -> None:
    """Columns that share a row move apart: of a dense matrix, all of them."""
    size = 8
    held = [np.arange(max(0, j - band + 1), min(size, j + 1)) for j in range(size)]
    starts = np.cumsum([0, *map(len, held)])
    matrix = SparseMatrix(starts, np.concatenate(held), np.ones(starts[-1]), (size, size), ())
    pair = SimpleNamespace(is_symmetric=False, is_lower=False)
    work: Any = SimpleNamespace(
        matrix=matrix,
        pair=pair,
        settings=SimpleNamespace(mode="full"),
        projection=None,
        theta=Theta(np.ones(size)),
    )
    found = coloured.coloured_groups(work)
    assert (found and len(found)) == groups


def test_a_matrix_below_the_rounding_of_outputs_that_stand_still_counts_as_zero() -> None:
    report = check_gradients.jacobian(
        lambda x: np.full(2, 1e6), lambda x: np.full((2, 3), 1e-12), np.ones(3)
    )
    assert report.passed
