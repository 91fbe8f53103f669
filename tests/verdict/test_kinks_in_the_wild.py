"""Kinks as people's costs have them: every right subgradient passes, and a wrong one does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import check_gradients

Array = npt.NDArray[np.float64]
Params = dict[str, Array]
Grad = Callable[[Array], Array]

RNG = np.random.default_rng(0)


@dataclass
class Case:
    """A cost at a kink, and gradients by name."""

    cost: Callable[[Array], float]
    x: Array
    right: dict[str, Grad]
    wrong: dict[str, Grad] = field(default_factory=dict)


def clipped() -> Case:
    """Return values clipped to [0, 1], some of them at either bound."""
    c = RNG.normal(size=7)

    def masked(at_bound: float, beyond: float = 0.0) -> Grad:
        def grad(x: Array) -> Array:
            inside = np.where((x > 0) & (x < 1), 1.0, beyond)
            return np.asarray(c * np.where((x == 0) | (x == 1), at_bound, inside))

        return grad

    return Case(
        lambda x: float(c @ np.clip(x, 0, 1)),
        np.array([0.0, 1.0, 0.5, -2.0, 1.0, 0.0, 3.0]),
        {"in": masked(1.0), "out": masked(0.0), "half": masked(0.5)},
        {"no mask": masked(1.0, 1.0), "twice at the bound": masked(2.0), "minus": masked(-1.0)},
    )


def hinge() -> Case:
    """Return a support vector machine with margins of exactly 1."""
    w = np.array([1.0, -1.0, 0.5, 2.0])
    X, y = np.round(RNG.normal(size=(12, 4)) * 4) / 4, np.sign(RNG.normal(size=12))
    X[:5, 3] += (y[:5] - X[:5] @ w) / w[3]

    def grad(active: Callable[[Array, float], npt.NDArray[np.bool_]], sign: float = -1.0) -> Grad:
        return lambda w: sign * X.T @ (y * active(1 - y * (X @ w), 0.0)) / 12 + w

    return Case(
        lambda w: float(np.mean(np.maximum(0, 1 - y * (X @ w))) + 0.5 * w @ w),
        w,
        {"above": grad(np.greater), "at": grad(np.greater_equal)},
        {"sign": grad(np.greater, 1.0), "no mean": grad(np.greater, -12.0)},
    )


def many_classes() -> Case:
    """Return the hinge loss of the worst class at weights of zero, where all classes tie."""
    X, labels, rows = RNG.normal(size=(12, 4)), RNG.integers(0, 3, 12), np.arange(12)

    def scores(w: Array) -> Array:
        s = X @ w.reshape(4, 3) + 1
        s[rows, labels] -= 1
        return np.asarray(s)

    def grad(pick: Callable[[Array], Array], factor: float = 1.0) -> Grad:
        def of(w: Array) -> Array:
            credit = pick(scores(w))
            credit[rows, labels] -= 1
            return np.asarray(factor * X.T @ credit / 12).ravel()

        return of

    def first(s: Array) -> Array:
        return np.asarray(np.eye(3)[s.argmax(axis=1)])

    def each(s: Array) -> Array:
        return np.asarray(s == s.max(axis=1, keepdims=True), float)

    def evenly(s: Array) -> Array:
        return np.asarray(each(s) / each(s).sum(axis=1, keepdims=True))

    return Case(
        lambda w: float(np.mean(scores(w).max(axis=1) - (X @ w.reshape(4, 3))[rows, labels])),
        np.zeros(12),
        {
            "first": grad(first),
            "last": grad(lambda s: first(s[:, ::-1])[:, ::-1].copy()),
            "evenly": grad(evenly),
        },
        {"each": grad(each), "a factor": grad(first, 1.2)},
    )


def lasso() -> Case:
    """Return an L1 penalty with coefficients of zero."""

    def grad(at_zero: float, factor: float = 0.3) -> Grad:
        return lambda x: factor * np.where(x == 0, at_zero, np.sign(x)) + 2 * (x - 1)

    return Case(
        lambda x: float(0.3 * np.abs(x).sum() + np.sum((x - 1) ** 2)),
        np.array([0.0, 0.0, 1.0, -2.0, 0.0]),
        {str(at): grad(at) for at in (0.0, 1.0, -1.0, 0.3)},
        {"2": grad(2.0), "-1.5": grad(-1.5), "twice": grad(0.0, 0.6)},
    )


def norm() -> Case:
    """Return a Euclidean norm at the origin."""

    def grad(at_zero: list[float], sign: float = 1.0) -> Grad:
        return lambda x: sign * (x / np.linalg.norm(x)) if x.any() else np.array(at_zero)

    return Case(
        lambda x: float(np.linalg.norm(x)),
        np.zeros(3),
        {"zero": grad([0.0, 0.0, 0.0]), "a unit vector": grad([1.0, 0.0, 0.0])},
        {"too long": grad([2.0, 0.0, 0.0]), "sign": grad([0.0, 0.0, 0.0], -1.0)},
    )


def running_maximum() -> Case:
    """Return a running maximum over equal values, weighed by either sign."""
    c = RNG.normal(size=6)

    def grad(beats: Callable[[float, float], bool], factor: float = 1.0) -> Grad:
        def of(x: Array) -> Array:
            result, best = np.zeros(6), 0
            for i in range(6):
                best = i if beats(x[i], x[best]) else best
                result[best] += factor * c[i]
            return result

        return of

    return Case(
        lambda x: float(c @ np.maximum.accumulate(x)),
        np.array([1.0, 3.0, 3.0, 2.0, 3.0, -1.0]),
        {"first": grad(lambda a, b: a > b), "last": grad(lambda a, b: a >= b)},
        {"a factor": grad(lambda a, b: a > b, 1.1)},
    )


def maxout() -> Case:
    """Return maxout units at weights of zero."""
    X, v = RNG.normal(size=(8, 3)), np.array([1.0, -2.0])

    def pieces(w: Array) -> Array:
        return np.asarray(np.einsum("ni,ijk->njk", X, w.reshape(3, 2, 3)))

    def grad(pick: Callable[[Array], Array]) -> Grad:
        return lambda w: np.einsum("ni,njk,j->ijk", X, pick(pieces(w)), v).ravel() / 8

    return Case(
        lambda w: float((pieces(w).max(axis=2) @ v).mean()),
        np.zeros(18),
        {
            "first": grad(lambda z: np.eye(3)[z.argmax(axis=2)]),
            "last": grad(lambda z: np.eye(3)[2 - z[..., ::-1].argmax(axis=2)]),
        },
        {"each": grad(lambda z: np.asarray(z == z.max(axis=2, keepdims=True), float))},
    )


def pinball() -> Case:
    """Return a quantile loss at residuals of zero."""
    q = np.array([0.1, 0.5, 0.9])
    return Case(
        lambda x: float(np.sum(np.where(x >= 0, q * x, (q - 1) * x))),
        np.array([0.0, 0.0, 1.0]),
        {"at": lambda x: np.where(x >= 0, q, q - 1), "above": lambda x: np.where(x > 0, q, q - 1)},
        {"sign": lambda x: np.where(x >= 0, q, 1 - q) * np.where(x > 0.5, -1, 1)},
    )


def overlap() -> Case:
    """Return the overlap of two boxes whose edges coincide."""
    a = np.array([0.0, 0.0, 2.0, 2.0])

    def sides(b: Array) -> tuple[float, float]:
        return (
            float(max(0.0, min(a[2], b[2]) - max(a[0], b[0]))),
            float(max(0.0, min(a[3], b[3]) - max(a[1], b[1]))),
        )

    def grad(strict: bool, sign: float = 1.0) -> Grad:
        def of(b: Array) -> Array:
            lower = b[:2] > a[:2] if strict else b[:2] >= a[:2]
            upper = b[2:] < a[2:] if strict else b[2:] <= a[2:]
            w, h = sides(b)
            return sign * np.array([-h * lower[0], -w * lower[1], h * upper[0], w * upper[1]])

        return of

    return Case(
        lambda b: float(np.prod(sides(b))),
        a.copy(),
        {"strict": grad(True), "not strict": grad(False)},
        {"sign": grad(False, -1.0)},
    )


def single() -> Case:
    """Return maxima of either sign, computed in float32."""
    weights = np.array([1.0, -3.0, 2.0])

    def cost(x: Array) -> float:
        y = x.astype(np.float32)
        return float(sum(np.float32(w) * max(y[i], y[i + 1]) for i, w in enumerate(weights)))

    def grad(beats: Callable[[float, float], bool], factor: float = 1.0) -> Grad:
        def of(x: Array) -> Array:
            y, result = x.astype(np.float32), np.zeros(4)
            for i, w in enumerate(weights):
                result[i if beats(y[i], y[i + 1]) else i + 1] += factor * w
            return result

        return of

    return Case(
        cost,
        np.array([0.5, 0.5, 0.25, 0.5]),
        {"first": grad(lambda a, b: a >= b), "last": grad(lambda a, b: a > b)},
        {"a factor": grad(lambda a, b: a >= b, 1.5)},
    )


CASES = {
    make.__name__: make()
    for make in (
        clipped,
        hinge,
        many_classes,
        lasso,
        norm,
        running_maximum,
        maxout,
        pinball,
        overlap,
        single,
    )
}

RIGHT = [(case, name) for case, one in CASES.items() for name in one.right]
WRONG = [(case, name) for case, one in CASES.items() for name in one.wrong]


@pytest.mark.parametrize(("case", "name"), RIGHT)
def test_a_subgradient_that_code_has_is_right(case: str, name: str) -> None:
    one = CASES[case]
    assert check_gradients(one.cost, one.right[name], one.x).passed


@pytest.mark.parametrize(("case", "name"), WRONG)
def test_a_wrong_gradient_is_found_at_kinks(case: str, name: str) -> None:
    one = CASES[case]
    assert not check_gradients(one.cost, one.wrong[name], one.x).passed


@pytest.mark.parametrize(("at_zero", "passes"), [(0.0, 1), (0.5, 1), (1.0, 1), (-1.0, 0), (2.0, 0)])
def test_a_layer_of_units_at_zero_may_take_any_slope_between(at_zero: float, passes: int) -> None:
    x = np.round(np.random.default_rng(0).normal(size=(4, 5)))
    report = check_gradients.layer(
        lambda x: (np.maximum(x, 0), x), lambda dout, x: dout * np.where(x == 0, at_zero, x > 0), x
    )
    assert report.passed is bool(passes)


def units(seed: int, scale: float) -> tuple[Callable[..., float], Callable[..., Params], Params]:
    """Return units of tiny weights beside a sum of ordinary numbers."""
    rng = np.random.default_rng([seed, 7])
    X, a = rng.normal(size=(4, 4)), 1e-2 * rng.normal(size=(4, 2))
    params = {
        "u": rng.normal(size=6),
        "W": scale * rng.normal(size=(4, 2)),
        "b": scale * rng.normal(size=2),
    }

    def cost(p: Params) -> float:
        h = np.maximum(X @ p["W"] + p["b"], 0)
        return float(np.mean(np.sin(p["u"])) + np.sum(a * h + h * h))

    def grad(p: Params) -> Params:
        z = X @ p["W"] + p["b"]
        dz = (a + 2 * np.maximum(z, 0)) * (z > 0)
        return {"u": np.cos(p["u"]) / 6, "W": X.T @ dz, "b": dz.sum(axis=0)}

    return cost, grad, params


@pytest.mark.parametrize("scale", [1e-12, 2e-13, 1e-13])
def test_units_that_switch_where_noise_hides_it_are_not_called_wrong(scale: float) -> None:
    """All units switch within a weight's own size, and the cost rounds that away."""
    for seed in range(20, 50):
        cost, grad, params = units(seed, scale)
        assert check_gradients(cost, grad, params).passed


@pytest.mark.parametrize("scale", [1e-6, 1e-9])
def test_units_of_small_weights_are_found_wrong_where_noise_lets_it_be_seen(scale: float) -> None:
    for seed in range(20, 30):
        cost, grad, params = units(seed, scale)
        report = check_gradients(cost, lambda p, g=grad: {**g(p), "W": 2 * g(p)["W"]}, params)
        assert {c.parameter for c in report.components if c.verdict == "bug"} == {"W"}
