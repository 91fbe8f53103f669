"""Zeros of a gradient, some of its components or all: what agrees, and what that proves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.context import Context, use_context
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.verdict.zeros import Scale

Array = npt.NDArray[np.float64]
Params = dict[str, Array]
Pair = tuple[Callable[[Any], float], Callable[[Any], Any], Any]


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


# --- stationary points -----------------------------------------------------------------------


def logistic(steps: int) -> tuple[Callable[[Array], float], Callable[[Array], Array], Array]:
    """Return a likelihood after some of Newton's steps to its maximum."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(100, 4))
    y = (rng.uniform(size=100) < 1 / (1 + np.exp(-X @ rng.normal(size=4)))).astype(float)

    def cost(t: Array) -> float:
        return float(np.sum(np.logaddexp(0, X @ t) - y * (X @ t)))

    def grad(t: Array) -> Array:
        return np.asarray(X.T @ (1 / (1 + np.exp(-X @ t)) - y))

    theta = np.zeros(4)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-X @ theta))
        theta = theta - np.linalg.solve(X.T @ (X * (p * (1 - p))[:, None]), grad(theta))
    return cost, grad, theta


def normal() -> Pair:
    """Return the likelihood of a normal distribution at its estimate."""
    y = np.random.default_rng(2).normal(7.0, 3.0, 50)

    def cost(p: dict[str, float]) -> float:
        return float(50 * np.log(p["s"]) + np.sum((y - p["m"]) ** 2) / 2 / p["s"] ** 2)

    def grad(p: dict[str, float]) -> dict[str, float]:
        off = y - p["m"]
        return {"m": -np.sum(off) / p["s"] ** 2, "s": 50 / p["s"] - np.sum(off**2) / p["s"] ** 3}

    return cost, grad, {"m": float(y.mean()), "s": float(y.std())}


def least_squares() -> Pair:
    """Return a fit at its minimum, with residuals."""
    rng = np.random.default_rng(3)
    A, b = rng.normal(size=(20, 5)), rng.normal(size=20)
    x = np.linalg.lstsq(A, b, rcond=None)[0]
    return lambda x: float(np.sum((A @ x - b) ** 2)), lambda x: 2 * A.T @ (A @ x - b), x


STATIONARY: dict[str, Pair] = {
    **{f"a likelihood after {n} steps": logistic(n) for n in (6, 7, 12)},
    "a normal distribution": normal(),
    "least squares": least_squares(),
    "a bowl at 0": (lambda x: float(x @ x), lambda x: 2 * x, np.zeros(3)),
    "a bowl elsewhere": (
        lambda x: 3 + float(np.sum((x - 1) ** 2)),
        lambda x: 2 * (x - 1),
        np.ones(3),
    ),
    "a saddle": (lambda x: float(x[0] ** 2 - x[1] ** 2), lambda x: x * [2, -2], np.zeros(2)),
    "a large bowl": (
        lambda x: 1e6 * float(np.sum(np.cosh((x - 1e3) / 1e3))),
        lambda x: 1e3 * np.sinh((x - 1e3) / 1e3),
        np.full(2, 1e3),
    ),
}


@pytest.mark.parametrize("name", STATIONARY)
def test_a_stationary_point_passes_with_a_warning(name: str) -> None:
    report = check_gradients(*STATIONARY[name])
    assert (report.passed, report.verdict, codes(report)) == (True, "ok", ["stationary"])
    assert "little is proved" in report.findings[0].message
    assert report.relative_error == 0.0
    assert all(parameter.resolution == 1.0 for parameter in report.parameters)


@pytest.mark.parametrize("name", STATIONARY)
def test_a_stationary_point_fails_under_strict(name: str) -> None:
    assert not check_gradients(*STATIONARY[name], strict=True).passed


def test_what_to_do_about_a_stationary_point_is_said() -> None:
    [at_theta] = check_gradients(*STATIONARY["least squares"]).findings
    assert "0.9 x theta" in at_theta.message
    [at_zero] = check_gradients(*STATIONARY["a bowl at 0"]).findings
    assert "0.9 x theta" not in at_zero.message


@pytest.mark.parametrize("mode", ["sample", "probe"])
def test_a_stationary_point_is_one_in_every_mode(mode: Literal["sample", "probe"]) -> None:
    report = check_gradients(*STATIONARY["least squares"], mode=mode, samples=2)
    assert (report.passed, codes(report)) == (True, ["stationary"])


def test_a_wrong_gradient_at_a_stationary_point_is_found_where_it_is_not_zero() -> None:
    cost, grad, theta = logistic(6)
    assert not check_gradients(cost, lambda t: grad(t) + 1e-4, theta).passed
    assert codes(check_gradients(cost, grad, 0.9 * theta)) == []
    assert not check_gradients(cost, lambda t: 2 * grad(t), 0.9 * theta).passed


def test_a_cost_that_drowns_in_its_size_is_undecided_and_no_stationary_point() -> None:
    report = check_gradients(
        lambda x: 1e16 + float(np.sum(np.sin(x))), lambda x: np.cos(x), np.ones(3)
    )
    assert not report.passed
    assert "stationary" not in codes(report)


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e5])
@pytest.mark.parametrize("lowest", [0.0, 1.0])
def test_a_minimum_is_stationary_whatever_the_cost_is_there(lowest: float, scale: float) -> None:
    """A cost that cancels to 0 rounds there as it does further off, though it is far larger there.

    All but one or two: seven values in a row may agree in their last bits by chance.
    """
    stationary = 0
    for seed in range(24):
        rng = np.random.default_rng([seed, 21])
        n = int(rng.integers(3, 9))
        x = rng.normal(size=n) / 2
        A = rng.normal(size=(n, n)) / 4

        def slopes(y: Array, A: Array = A) -> Array:
            return np.asarray(A.T @ np.exp(A @ y))

        def cost(y: Array, A: Array = A, x: Array = x) -> float:
            above = np.sum(np.exp(A @ y)) - np.sum(np.exp(A @ x)) - slopes(x, A) @ (y - x)
            return scale * float(above + lowest)

        def grad(y: Array, A: Array = A, x: Array = x) -> Array:
            return scale * (slopes(y, A) - slopes(x, A))

        report = check_gradients(cost, grad, x)
        stationary += (report.passed, codes(report)) == (True, ["stationary"])
    assert stationary >= 22


@pytest.mark.parametrize("size", [1e-18, 1e-30, 1e-300])
def test_rounding_of_a_cost_that_does_not_move_is_vacuous(size: float) -> None:
    report = check_gradients(lambda x: 2.0, lambda x: np.full(3, size), np.ones(3))
    assert (report.passed, codes(report)) == (True, ["vacuous"])
    assert not check_gradients(
        lambda x: 2.0, lambda x: np.full(3, size), np.ones(3), strict=True
    ).passed


@pytest.mark.parametrize("at", [25.0, 40.0])
def test_saturated_units_leave_nothing_to_be_seen(at: float) -> None:
    report = check_gradients(
        lambda x: float(np.sum(np.tanh(x))), lambda x: 1 / np.cosh(x) ** 2, np.full(3, at)
    )
    assert report.passed
    assert codes(report) in (["stationary"], ["vacuous"])


def test_a_slope_that_drowns_in_rounding_is_undecided_where_it_is_no_zero() -> None:
    report = check_gradients(
        lambda x: 1e10 + float(np.sum(1e-4 * np.sin(x))), lambda x: 1e-4 * np.cos(x), np.ones(2)
    )
    assert report.verdict == "inconclusive"


def test_a_cost_that_does_not_move_is_vacuous_and_no_stationary_point() -> None:
    report = check_gradients(lambda x: 3.0, lambda x: 0 * x, np.ones(3))
    assert codes(report) == ["vacuous"]


@pytest.mark.parametrize("mode", ["full", "probe"])
@pytest.mark.parametrize("at", [9.0, 10.0, 12.0])
def test_that_little_is_proved_is_said_where_long_steps_alone_move_a_cost(
    at: float, mode: Literal["full", "probe"]
) -> None:
    """Narrow bumps to the side, in float32: a line over all of theta meets none of them."""
    x = np.array([1.0, -1.3, 0.7, 2.1])
    width = np.float32(0.03)
    tops = x + at * float(width)

    def cost(x: Array) -> float:
        bumps = np.exp(-np.square((x.astype(np.float32) - tops.astype(np.float32)) / width))
        return float(np.float32(2.885383) + np.float32(0.01) * bumps.sum())

    def slopes(x: Array) -> Array:
        away = (x - tops) / float(width)
        return np.asarray(-0.02 / float(width) * away * np.exp(-np.square(away)))

    report = check_gradients(cost, slopes, x, mode=mode)

    assert report.passed
    assert codes(report) in (["stationary"], ["vacuous"])


# --- structural zeros ------------------------------------------------------------------------


def normalized(scale: float, seed: int, rows: int = 20) -> Pair:
    """Return a net with a bias before batch normalization, which has no slope."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(rows, 4)), rng.normal(size=(rows, 3))
    params = {
        "W": scale * rng.normal(size=(4, 5)),
        "b": scale * rng.normal(size=5),
        "V": rng.normal(size=(5, 3)),
    }

    def forward(p: Params) -> tuple[Array, Array, Array]:
        z = X @ p["W"] + p["b"]
        hat = (z - z.mean(axis=0)) / z.std(axis=0)
        return z, hat, np.tanh(hat) @ p["V"] - y

    def cost(p: Params) -> float:
        return float(np.mean(forward(p)[2] ** 2))

    def grad(p: Params) -> Params:
        z, hat, off = forward(p)
        dout, hidden = 2 * off / off.size, np.tanh(hat)
        dhat = (dout @ p["V"].T) * (1 - hidden**2)
        dz = (dhat - dhat.mean(axis=0) - hat * (dhat * hat).mean(axis=0)) / z.std(axis=0)
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "V": hidden.T @ dout}

    return cost, grad, params


@pytest.mark.parametrize("scale", [1.0, 0.1, 0.01, 1e-3, 1e-5, 1e-7])
def test_a_bias_before_batch_normalization_is_right(scale: float) -> None:
    for seed in range(12):
        report = check_gradients(*normalized(scale, seed), strict=True)
        assert (report.passed, report.verdict, codes(report)) == (True, "ok", [])
        assert report.parameters[1].resolution <= 1.0
        assert report.parameters[1].relative_error == 0.0


def test_a_fault_beside_a_bias_without_slope_is_reported_for_its_own_parameter() -> None:
    for seed in range(12):
        cost, grad, params = normalized(0.01, seed)

        def wrong(p: Params, grad: Callable[[Params], Params] = grad) -> Params:
            gradient = grad(p)
            return {**gradient, "W": 1.01 * gradient["W"]}

        report = check_gradients(cost, wrong, params)
        bad = {c.parameter for c in report.components if c.verdict in ("suspect", "bug")}
        assert bad == {"W"}


@pytest.mark.parametrize("shift", [1e-9, 1e-6, 1e-3])
def test_a_slope_that_a_bias_without_one_claims_is_wrong(shift: float) -> None:
    cost, grad, params = normalized(1.0, 1)
    report = check_gradients(cost, lambda p: {**grad(p), "b": grad(p)["b"] + shift}, params)
    assert {c.parameter for c in report.components} == {"b"}
    assert not report.passed or report.verdict == "inconclusive"


@pytest.mark.parametrize("dust", [1.4e-17, -3e-16, 1e-20])
def test_rounding_of_a_parameter_without_effect_is_right(dust: float) -> None:
    rng = np.random.default_rng(0)
    params = {"W": rng.normal(size=(2, 3)), "b": rng.normal(size=3)}
    report = check_gradients(
        lambda p: float(np.sum(np.sin(p["W"])) + 0 * p["b"].sum()),
        lambda p: {"W": np.cos(p["W"]), "b": np.full(3, dust)},
        params,
        strict=True,
    )
    assert (report.passed, report.verdict, codes(report)) == (True, "ok", [])
    assert [parameter.resolution for parameter in report.parameters] == [1e-5, 1.0]


def test_the_last_bias_of_a_softmax_is_zero_in_sum_only() -> None:
    rng = np.random.default_rng(4)
    X, labels = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)

    def scores(p: Params) -> Array:
        return X @ p["W"] + p["shift"]  # the same for all classes

    def cost(p: Params) -> float:
        z = scores(p)
        return float(np.sum(np.logaddexp.reduce(z, axis=1) - z[np.arange(6), labels]))

    def grad(p: Params) -> Params:
        z = scores(p)
        dz = np.exp(z - np.logaddexp.reduce(z, axis=1)[:, None])
        dz[np.arange(6), labels] -= 1
        return {"W": X.T @ dz, "shift": np.array([dz.sum()])}

    params = {"W": rng.normal(size=(3, 3)), "shift": np.array([0.3])}
    report = check_gradients(cost, grad, params, strict=True)
    assert (report.passed, codes(report)) == (True, [])


def test_small_slopes_of_small_numbers_are_no_dust() -> None:
    size = 10.0 ** np.random.default_rng(1).uniform(-9, 9, 60)
    cost: Callable[[Array], float] = lambda t: float(np.sum(np.sin(t / size)))  # noqa: E731
    grad: Callable[[Array], Array] = lambda t: np.cos(t / size) / size  # noqa: E731
    for component in (int(size.argmax()), int(size.argmin()), 17):
        for factor in (0.0, 1.05, -1.0):

            def wrong(t: Array, i: int = component, f: float = factor) -> Array:
                gradient = grad(t)
                gradient[i] *= f
                return gradient

            report = check_gradients(cost, wrong, 0.7 * size)
            assert not report.passed
            assert report.components[0].index == (component,)


def test_a_zero_that_was_never_filled_in_is_found_at_any_size() -> None:
    for size in (1.0, 1e-3, 1e-6):
        report = check_gradients(
            lambda p, s=size: float(s * np.sum(np.sin(p["a"])) + np.sum(np.sin(p["b"]))),
            lambda p: {"a": np.zeros(3), "b": np.cos(p["b"])},
            {"a": np.full(3, 0.3), "b": np.full(3, 0.2)},
        )
        assert not report.passed


def test_canaries_are_not_planted_into_dust() -> None:
    with use_context(Context(canary=True)):
        assert check_gradients(*normalized(0.01, 3)).passed


def test_the_resolution_is_at_most_one() -> None:
    rng = np.random.default_rng(0)
    report = check_gradients(
        lambda p: 1e7 + float(np.sum(1e-5 * np.sin(p["a"]))),
        lambda p: {"a": np.zeros(3)},
        {"a": rng.normal(size=3)},
    )
    assert report.parameters[0].resolution == 1.0 or not report.passed


def test_many_parameters_without_effect_are_moved_together_first() -> None:
    """Two calls tell of forty that none of them moves the cost."""
    params = {f"w{k}": np.ones(3) for k in range(40)} | {"a": np.ones(3)}

    def grad(p: Any) -> Any:
        return {name: 2 * value if name == "a" else 0 * value for name, value in p.items()}

    report = check_gradients(lambda p: float(np.sum(p["a"] ** 2)), grad, params)
    assert report.passed
    assert [f.parameter for f in report.findings] == [f"w{k}" for k in range(40)]
    assert {finding.code for finding in report.findings} == {"vacuous"}
    assert report.evaluations <= 2 * 123 + 20


@pytest.mark.parametrize("at", [0, 17, 39])
def test_one_of_many_zeros_whose_parameter_has_an_effect_is_wrong(at: int) -> None:
    """The steps of single components are too small to show it, and all together are moved."""
    params = {f"w{k}": np.full(3, 1e4) for k in range(40)} | {"a": np.ones(3)}

    def cost(p: Any) -> float:
        return float(np.sum(p["a"] ** 2) + 1e-12 * np.sum(p[f"w{at}"]))

    def grad(p: Any) -> Any:
        return {name: 2 * value if name == "a" else 0 * value for name, value in p.items()}

    report = check_gradients(cost, grad, params)
    vacuous = {finding.parameter for finding in report.findings if finding.code == "vacuous"}
    assert f"w{at}" not in vacuous
    assert vacuous == {f"w{k}" for k in range(40) if k != at}


def test_a_cost_stands_still_within_its_dust_or_within_an_error_bar() -> None:
    """Within its dust a slope may be a few error bars; at a kink an error bar tells nothing."""
    values = np.array([5e-9, 5e-4, 5e-4, 5e-4, 5e-9])
    bars = np.array([1e-9, 1e-3, 1e-3, 1e-4, 1e-10])
    kinds = np.array([Kind.KINK, Kind.SMOOTH, Kind.KINK, Kind.SMOOTH, Kind.SMOOTH], np.int8)
    scale = Scale(np.ones(5), usual=1.0, dust=1e-8, beside=1e-12)
    approximation = Approximation(values, bars, kinds, slice(0, 5), {})
    np.testing.assert_array_equal(
        scale.stands_still(approximation), [True, True, False, False, False]
    )
