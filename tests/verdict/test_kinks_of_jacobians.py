"""Kinks of many outputs: which entries of a Jacobian are limits of right ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import sparse

from pytest_gradcheck import check_gradients

Array = npt.NDArray[np.float64]
Function = Callable[[Array], Array]


def maxima(last: bool, factor: float = 1.0) -> tuple[Function, Function, Array]:
    """Return maxima of either sign at equal numbers, and a smooth output beside them."""

    def f(x: Array) -> Array:
        return np.array([max(x[0], x[1]) - 3 * max(x[1], x[2]), x @ x + x[0]])

    def jac(x: Array) -> Array:
        result = np.zeros((2, 3))
        for weight, i in ((1.0, 0), (-3.0, 1)):
            first = x[i] > x[i + 1] if last else x[i] >= x[i + 1]
            result[0, i if first else i + 1] += weight
        result[1] = 2 * x + np.array([1.0, 0.0, 0.0])
        return factor * result

    return f, jac, np.zeros(3)


def units(at_zero: float, factor: float = 1.0) -> tuple[Function, Function, Array]:
    """Return differences of units, some of which stand at 0."""
    W = np.round(np.random.default_rng(0).normal(size=(5, 4)))

    def f(x: Array) -> Array:
        return np.asarray(np.maximum(W @ x, 0) - 0.5 * np.maximum(W[::-1] @ x, 0))

    def slope(z: Array) -> Array:
        return np.where(z == 0, at_zero, z > 0)[:, None]

    def jac(x: Array) -> Array:
        return np.asarray(factor * (W * slope(W @ x) - 0.5 * W[::-1] * slope(W[::-1] @ x)))

    return f, jac, np.array([1.0, -1.0, 1.0, 0.0])


def ordered(factor: float = 1.0) -> tuple[Function, Function, Array]:
    """Return differences of sorted numbers, some of them equal."""

    def f(x: Array) -> Array:
        return np.diff(np.sort(x)) * [1.0, -2.0, 3.0, -1.0]

    def jac(x: Array) -> Array:
        rows = np.eye(5)[np.argsort(x, kind="stable")]
        return np.asarray(
            factor * np.diff(rows, axis=0) * np.array([1.0, -2.0, 3.0, -1.0])[:, None]
        )

    return f, jac, np.array([1.0, 0.0, 1.0, 1.0, 2.0])


@pytest.mark.parametrize(
    "pair", [maxima(False), maxima(True), units(0.0), units(1.0), ordered()], ids=range(5)
)
def test_entries_that_are_limits_of_right_ones_pass(
    pair: tuple[Function, Function, Array],
) -> None:
    report = check_gradients.jacobian(*pair)
    assert (report.passed, report.verdict) == (True, "kink")


@pytest.mark.parametrize(
    "pair",
    [maxima(False, 1.1), maxima(True, -1.0), units(0.0, 1.2), units(2.0), ordered(0.9)],
    ids=range(5),
)
def test_wrong_entries_are_found_at_kinks(pair: tuple[Function, Function, Array]) -> None:
    assert check_gradients.jacobian(*pair).verdict == "bug"


def test_wrong_entries_of_smooth_outputs_cost_no_further_calls_of_the_function() -> None:
    x = np.linspace(0.3, 0.7, 6)
    calls: list[int] = []

    def f(x: Array) -> Array:
        calls.append(1)
        return np.sin(np.outer(x, x)).ravel()

    def jac(x: Array) -> Array:
        slopes, n = np.cos(np.outer(x, x)), x.size
        result = np.zeros((n, n, n))
        for i in range(n):
            for j in range(n):
                result[i, j, i] += slopes[i, j] * x[j]
                result[i, j, j] += slopes[i, j] * x[i]
        return result.reshape(n * n, n)

    assert check_gradients.jacobian(f, jac, x).passed
    passing = len(calls)
    assert not check_gradients.jacobian(f, lambda x: 1.01 * jac(x), x).passed
    assert len(calls) - passing < 40 * x.size


def beside_a_smooth_output(
    output: Callable[[Array], float], slope: Function, at: Array, row: Array
) -> tuple[Function, Function, Array]:
    """Return a function with a kink in its first output, whose row is given where the kink is."""

    def f(x: Array) -> Array:
        return np.array([output(x), np.sin(x).sum()])

    def jac(x: Array) -> Array:
        return np.array([row if np.array_equal(x, at) else slope(x), np.cos(x)])

    return f, jac, at


def largest_magnitude(row: list[float]) -> tuple[Function, Function, Array]:
    def slope(x: Array) -> Array:
        unit = np.eye(x.size)[np.abs(x).argmax()]
        return np.asarray(unit * np.sign(x))

    at = np.array([2.0, -2.0, 0.5])
    return beside_a_smooth_output(lambda x: float(np.abs(x).max()), slope, at, np.array(row))


def length(row: list[float]) -> tuple[Function, Function, Array]:
    slope: Function = lambda x: np.asarray(x / np.linalg.norm(x))  # noqa: E731
    at = np.zeros(len(row))
    return beside_a_smooth_output(lambda x: float(np.linalg.norm(x)), slope, at, np.array(row))


def magnitudes(signs: list[float]) -> tuple[Function, Function, Array]:
    """Return a sum of magnitudes that are 0, its row the sum of the rows times signs."""
    rows = np.random.default_rng(0).normal(size=(3, 4))
    slope: Function = lambda x: np.asarray(rows.T @ np.sign(rows @ x))  # noqa: E731
    row = rows.T @ np.array(signs)
    return beside_a_smooth_output(lambda x: float(np.abs(rows @ x).sum()), slope, np.zeros(4), row)


def crossed(first: float, second: float) -> tuple[Function, Function, Array]:
    """Return the sum of two units at 0 whose axes cross, each with a slope there."""
    rows = np.array([[1.0, 1.0], [1.0, -1.0]])

    def slope(x: Array) -> Array:
        return np.asarray((rows @ x > 0) @ rows)

    row = np.array([first, second]) @ rows
    return beside_a_smooth_output(
        lambda x: float(np.maximum(rows @ x, 0).sum()), slope, np.zeros(2), row
    )


def pooled(share: Callable[[Array], Array]) -> tuple[Function, Function, Array]:
    """Return the maxima of windows, some of whose numbers are equal, with shares of theirs."""

    def jac(x: Array) -> Array:
        result = np.zeros((3, 12))
        for i, window in enumerate(x.reshape(3, 4)):
            result[i, 4 * i : 4 * i + 4] = share(window == window.max())
        return result

    at = np.array([1.0, 1.0, 1.0, 1.0, 0.0, 2.0, 2.0, 1.0, 0.3, 0.2, 0.1, 0.9])
    return lambda x: x.reshape(3, 4).max(axis=1), jac, at


def clipped(slope: float) -> tuple[Function, Function, Array]:
    def jac(x: Array) -> Array:
        at_edge, inside = (x == 0) | (x == 1), (x > 0) & (x < 1)
        return np.diag(np.where(at_edge, slope, inside))

    return lambda x: np.clip(x, 0, 1), jac, np.array([0.0, 1.0, 0.4, 2.0])


def in_order(mean: bool) -> tuple[Function, Function, Array]:
    """Return sorted numbers, with the mean of the rows of equal ones, or their sum."""

    def jac(x: Array) -> Array:
        equal = np.sort(x)[:, None] == x
        return np.asarray(equal / (equal.sum(axis=1, keepdims=True) if mean else 1.0))

    return np.sort, jac, np.array([1.0, 0.0, 1.0, 1.0, 2.0])


SUBGRADIENTS = {
    "the first of the largest": largest_magnitude([1, 0, 0]),
    "a mean of the largest": largest_magnitude([0.25, -0.75, 0]),
    "the middle of a norm": length([0, 0, 0]),
    "inside of a norm": length([0.5, -0.5, 0.3]),
    "the middle of magnitudes": magnitudes([0, 0, 0]),
    "a corner of magnitudes": magnitudes([1, -1, 1]),
    "inside of magnitudes": magnitudes([0.9, -0.3, 0.4]),
    "units on and off": crossed(1, 0),
    "units between": crossed(0.7, 0.2),
    "shares of a maximum": pooled(lambda largest: largest / largest.sum()),
    "the first of a window": pooled(lambda largest: np.eye(4)[largest.argmax()]),
    "the edges of a clip": clipped(0.5),
    "means of sorted numbers": in_order(mean=True),
}

NONE = {
    "all of the largest": largest_magnitude([1, -1, 0]),
    "none of the largest": largest_magnitude([0, 0, 0]),
    "half too much of the largest": largest_magnitude([0.75, -0.75, 0]),
    "a norm's longer vector": length([0.8, -0.8, 0.5]),
    "a norm's ones": length([1, 1]),
    "magnitudes of more than 1": magnitudes([1.2, 0.2, -0.9]),
    "units beyond 1": crossed(1.3, 0.6),
    "units below 0": crossed(0.6, -0.3),
    "all of the maximum": pooled(lambda largest: largest.astype(float)),
    "half of the maximum": pooled(lambda largest: largest / min(largest.sum(), 2)),
    "none of a maximum that is shared": pooled(lambda large: large * float(large.sum() == 1)),
    "a clip that is too steep": clipped(1.2),
    "sums of sorted numbers": in_order(mean=False),
}


@pytest.mark.parametrize("name", SUBGRADIENTS)
def test_a_row_that_is_a_mean_of_limits_is_a_subgradient(name: str) -> None:
    report = check_gradients.jacobian(*SUBGRADIENTS[name])
    assert (report.passed, report.verdict) == (True, "kink")
    assert any("a valid subgradient" in finding.message for finding in report.findings)


@pytest.mark.parametrize("name", NONE)
def test_a_row_that_is_none_is_wrong_though_each_of_its_entries_may_be_right(name: str) -> None:
    report = check_gradients.jacobian(*NONE[name])
    assert report.verdict == "bug"
    assert any("no subgradient" in finding.message for finding in report.findings)
    assert not [finding for finding in report.findings if finding.severity == "cause"]


@pytest.mark.parametrize("name", [*SUBGRADIENTS, *NONE])
def test_a_pushforward_has_the_verdict_of_its_matrix(name: str) -> None:
    f, jac, at = (SUBGRADIENTS | NONE)[name]
    report = check_gradients.jvp(f, lambda x, d: jac(x) @ d, at)
    assert report.verdict == ("kink" if name in SUBGRADIENTS else "bug")


@pytest.mark.parametrize(
    ("slopes", "verdict"),
    [([1, 0, 1], "kink"), ([0.3, 0.8, 0.5], "kink"), ([1.4, 0, 0.5], "bug"), ([1, -0.3, 1], "bug")],
)
def test_rows_of_hessians_are_asked_about_at_kinks_of_the_gradient(
    slopes: list[float], verdict: str
) -> None:
    rows, shift = np.array([[1.0, 1.0], [1.0, -1.0], [0.5, 2.0]]), np.ones(2)

    def grad(x: Array) -> Array:
        return np.asarray(rows.T @ np.maximum(rows @ (x - shift), 0) + x**3)

    def hess(x: Array) -> Array:
        here = np.array(slopes) if np.array_equal(x, shift) else rows @ (x - shift) > 0
        return np.asarray(rows.T @ (here[:, None] * rows) + np.diag(3 * x**2))

    assert check_gradients.hessian(grad, hess, shift).verdict == verdict


@pytest.mark.parametrize("ties_count_twice", [False, True])
def test_rows_of_a_large_sparse_matrix_are_asked_about_too(ties_count_twice: bool) -> None:
    n = 400
    x = np.random.default_rng(0).normal(size=n)
    x[6], x[102] = x[5], x[101]

    def jac(x: Array) -> sparse.csr_array:
        second = x[1:] >= x[:-1] if ties_count_twice else x[1:] > x[:-1]
        parts: Any = [(x[:-1] >= x[1:]).astype(float), second.astype(float)]
        return sparse.csr_array(sparse.diags_array(parts, offsets=[0, 1], shape=(n - 1, n)))

    report = check_gradients.jacobian(lambda x: np.maximum(x[:-1], x[1:]), jac, x)
    assert report.verdict == ("bug" if ties_count_twice else "kink")
    assert report.evaluations < n
    if ties_count_twice:
        assert {component.output for component in report.components} == {"out[5]", "out[101]"}


@pytest.mark.parametrize("middle", [0.0, 0.5, 1.0])
def test_many_kinks_of_single_entries_take_few_calls(middle: float) -> None:
    x = np.concatenate([np.zeros(60), np.linspace(-1, 1, 40)])

    def jac(x: Array) -> Array:
        return np.diag(np.where(x == 0, middle, x > 0))

    report = check_gradients.jacobian(lambda x: np.maximum(x, 0), jac, x)
    assert (report.passed, report.verdict) == (True, "kink")
    assert report.components[0].verdict == "kink"
    assert len(report.components) == 60
    assert report.evaluations < 2 * x.size + 60 * 6 + 100


def test_many_kinks_of_noisy_outputs_take_few_calls() -> None:
    """A gap is looked for at the finest step that noise leaves, and no finer."""

    def noisy(x: Array) -> Array:
        return np.asarray((np.abs(x) + 1).astype(np.float32), np.float64)

    report = check_gradients.jacobian(noisy, lambda x: np.diag(np.sign(x)), np.zeros(40))
    assert (report.passed, report.verdict) == (True, "kink")
    assert len(report.components) == 40
    assert report.evaluations < 40 * 16


def test_a_row_of_zeros_is_proved_by_an_output_that_stands_still_nearby() -> None:
    """It does not move by a bit there, so that nothing but 0 is right."""
    asked = []

    def f(x: Array) -> Array:
        return np.array([max(0.0, x[0] - 10 * abs(x[1])), x[1]])

    def jac(x: Array) -> Array:
        asked.append(x)
        inside = x[0] > 10 * abs(x[1])
        first = [1.0, -10 * np.sign(x[1])] if inside else [0.0, 0.0]
        return np.array([first, [0.0, 1.0]])

    report = check_gradients.jacobian(f, jac, np.zeros(2))
    assert report.verdict == "kink"
    assert len(asked) <= 12
    assert report.evaluations <= 80


def test_a_jump_beside_theta_leaves_the_other_slopes_of_an_output_decided() -> None:
    """The first difference across it is a hundred times the slopes, and no measure of them."""

    def f(x: Array) -> Array:
        y = 1 + 0.01 * x.sum() + 1.0 * (x[0] > 1.0005)
        return np.array([float(np.float32(y)), x[0]])

    def jac(x: Array) -> Array:
        return np.array([[0.01, 0.01, 0.01], [1.0, 0.0, 0.0]])

    report = check_gradients.jacobian(f, jac, np.array([1.0, 0.8, 1.2]))
    assert report.passed
    assert [(c.name, c.verdict) for c in report.components] == [("jac[0, 0]", "inconclusive")]


def test_a_kink_next_to_theta_hides_no_entry_between_its_slopes() -> None:
    """A step that reaches over the kink sees two slopes; theta itself has one."""
    for distance in (1e-7, 1e-9, 1e-11):
        x = np.array([1.0 + distance, 2.0])

        def f(x: Array) -> Array:
            return np.maximum(x - 1.0, 0)

        for seed in range(10):
            assert check_gradients.jacobian(f, lambda x: np.eye(2), x, seed=seed).passed
            wrong = check_gradients.jacobian(f, lambda x: np.diag([0.5, 1.0]), x, seed=seed)
            assert not wrong.passed


def single(f: Function) -> Function:
    """Return a function that computes in float32."""
    return lambda x: np.asarray(f(x.astype(np.float32)), np.float32)


@pytest.mark.parametrize("name", [*SUBGRADIENTS, *NONE])
def test_outputs_of_float32_have_the_same_verdicts_at_kinks(name: str) -> None:
    f, jac, at = (SUBGRADIENTS | NONE)[name]
    for seed in range(10):  # some directions show the side on which an output stands still
        report = check_gradients.jacobian(single(f), jac, at, seed=seed)
        assert report.passed == (name in SUBGRADIENTS)


@pytest.mark.parametrize("factor", [1.1, -1.0, 0.0])
def test_noise_excuses_no_wrong_row_beside_a_kink(factor: float) -> None:
    x = np.array([0.0, 1.0, 2.0])

    def jac(x: Array) -> Array:
        return np.diag(np.where(x > 0, factor, 0.0))

    report = check_gradients.jacobian(single(lambda x: np.maximum(x, 0)), jac, x)
    bugs = {component.name for component in report.components if component.verdict == "bug"}
    assert bugs == {"jac[1, 1]", "jac[2, 2]"}


@pytest.mark.parametrize("small", [1.0, 1e-3, 1e-5])
@pytest.mark.parametrize("factor", [1.5, -1.0, 1.01])
def test_a_small_entry_that_is_wrong_is_not_excused_by_a_kink_elsewhere(
    small: float, factor: float
) -> None:
    A = np.array([[1.0, -0.5, 2.0], [0.3, 1.2, -0.7]])
    sizes, x = np.array([1.0, 1.0, small]), np.array([0.3, -0.2, 1.1])

    def f(x: Array) -> Array:
        return np.append(np.sin(A @ (sizes * x)), abs(x[0] - 0.3))

    def jac(x: Array, factor: float = 1.0) -> Array:
        smooth = np.cos(A @ (sizes * x))[:, None] * A * sizes
        smooth[1, 2] *= factor
        return np.vstack([smooth, [np.sign(x[0] - 0.3), 0.0, 0.0]])

    assert check_gradients.jacobian(f, jac, x).verdict == "kink"
    report = check_gradients.jacobian(f, lambda x: jac(x, factor), x)
    assert report.verdict == "bug"
    assert report.components[0].name == "jac[1, 2]"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("raising", [False, True])
def test_the_edge_of_a_domain_decides_from_one_side_for_every_row(
    dtype: type, raising: bool
) -> None:
    x = np.array([0.0, 1.0, 2.0])

    def f(x: Array) -> Array:
        if raising and np.any(x < 0):
            raise ValueError("negative")
        inside: Array = np.where(x < 0, np.nan, x).astype(dtype)
        return np.array([inside.sum(), (inside**2).sum(), np.sin(inside).sum()], dtype)

    def jac(x: Array) -> Array:
        return np.array([np.ones(3), 2 * x, np.cos(x)])

    assert check_gradients.jacobian(f, jac, x).verdict == "ok"
    for factors in ([1.2, 1, 1], [1, 1, -1.0]):
        report = check_gradients.jacobian(f, lambda x, k=factors: jac(x) * np.array(k), x)
        assert report.verdict == "bug"


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e7])
def test_a_kink_of_an_output_beside_an_offset_has_two_slopes(offset: float) -> None:
    report = check_gradients.jacobian(
        lambda x: np.abs(x) + offset, lambda x: np.diag(np.where(x > 0, 1.0, -1.0)), np.zeros(2)
    )
    assert report.passed
    assert {c.verdict for c in report.components} == {"kink"}
