"""Costs that noise limits: no right gradient is called wrong, no wrong one passes unnoticed.

Quantized, rounded, stopped at a tolerance, beside an offset, larger far away, ended by a domain.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]
Params = dict[str, Array]
Rounding = Callable[[Any], Any]


def exact(values: Any) -> Any:
    return values


def float32(values: Any) -> Any:
    return np.asarray(values, np.float32).astype(float)


def float16(values: Any) -> Any:
    return np.asarray(values, np.float16).astype(float)


def bfloat16(values: Any) -> Any:
    """Round to eight binary digits."""
    mantissa, exponent = np.frexp(np.asarray(values, float))
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


@dataclass(frozen=True)
class Pair:
    """A cost that noise limits, and the gradient of what it stands for."""

    cost: Callable[[Any], Any]
    grad: Callable[[Any], Any]
    params: Any


@dataclass(frozen=True)
class Net:
    """A network of 4-5-2 units, some of it rounded."""

    inside: Rounding = exact
    first_only: bool = False
    relu: bool = False
    scale: float = 1.0
    penalty: float = 0.0
    of_penalty: Rounding = exact
    result: Rounding = exact

    def pair(self, seed: int) -> Pair:
        rng = np.random.default_rng([seed, 41])
        X, T = rng.normal(size=(12, 4)), rng.normal(size=(12, 2))
        shapes = {"W1": (4, 5), "b1": (5,), "W2": (5, 2), "b2": (2,)}
        params = {name: self.scale * rng.normal(size=shape) for name, shape in shapes.items()}

        def forward(p: Params, first: Rounding, rest: Rounding) -> tuple[Array, Array, Array]:
            Z = first(first(X) @ first(p["W1"])) + p["b1"]
            A = rest(np.maximum(Z, 0) if self.relu else np.tanh(Z))
            return Z, A, rest(rest(A @ rest(p["W2"])) + p["b2"])

        def cost(p: Params) -> Any:
            out = forward(p, self.inside, exact if self.first_only else self.inside)[-1]
            squares = sum(float(np.sum(p[name] ** 2)) for name in ("W1", "W2"))
            J = float(np.mean((out - T) ** 2)) + float(self.of_penalty(self.penalty * squares))
            return self.result(J)

        def grad(p: Params) -> Params:
            Z, A, out = forward(p, exact, exact)
            dout = 2 * (out - T) / out.size
            dZ = dout @ p["W2"].T * ((Z > 0) if self.relu else 1 - A**2)
            grads = {"W1": X.T @ dZ, "b1": dZ.sum(0), "W2": A.T @ dout, "b2": dout.sum(0)}
            return {n: g + 2 * self.penalty * p[n] * (n[0] == "W") for n, g in grads.items()}

        return Pair(cost, grad, params)


def vector(seed: int, before: Rounding = exact, after: Rounding = exact, size: float = 1.0) -> Pair:
    """Return a sum of sines with something done to theta before and to the cost after."""
    rng = np.random.default_rng([seed, 43])
    w, c = rng.uniform(1, 2, 8), rng.normal(size=8)
    x = size * rng.normal(size=8)

    def cost(x: Array) -> Any:
        u = before(x) / size
        return after(float(np.sum(w * np.sin(u + c)) + np.sum(u) ** 2 / 16))

    def grad(x: Array) -> Array:
        return np.asarray((w * np.cos(x / size + c) + np.sum(x / size) / 8) / size)

    return Pair(cost, grad, x)


def logistic(seed: int, digits: int) -> Pair:
    """Return a logistic regression at small weights, whose cost is rounded to decimals."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(20, 4)), (rng.random(20) > 0.5).astype(float)
    w = 0.01 * rng.normal(size=4)

    def cost(w: Array) -> float:
        z = X @ w
        return round(float(np.mean(np.logaddexp(0, z) - y * z)), digits)

    return Pair(cost, lambda w: X.T @ (1 / (1 + np.exp(-X @ w)) - y) / 20, w)


def iterated(seed: int, tolerance: float) -> Pair:
    """Return a cost of the fixed point of y = tanh(x + a y) / 2, found by iteration."""
    rng = np.random.default_rng([seed, 47])
    a, w, x = rng.uniform(0.5, 1.5, 6), rng.normal(size=6), rng.normal(size=6)

    def solution(x: Array, tolerance: float) -> Array:
        y, last = np.zeros(6), np.ones(6)
        while np.max(np.abs(y - last)) > tolerance:
            y, last = np.tanh(x + a * y) / 2, y
        return y

    def grad(x: Array) -> Array:
        y = solution(x, 1e-15)
        slope = (1 - 4 * y * y) / 2
        return np.asarray(w * np.cos(y) * slope / (1 - a * slope))

    return Pair(lambda x: float(w @ np.sin(solution(x, tolerance))), grad, x)


def tabulated(seed: int, cells: int, beside: float) -> Pair:
    """Return a sum of values looked up in a table, and a smooth part beside them."""
    grid = np.linspace(-5, 5, cells)
    values = np.sin(grid)
    x = np.random.default_rng([seed, 53]).normal(size=6)

    def cost(x: Array) -> float:
        nearest = np.round((x + 5) / 10 * (cells - 1)).astype(int)
        return float(values[np.clip(nearest, 0, cells - 1)].sum() + beside * (x @ x))

    return Pair(cost, lambda x: np.cos(x) + 2 * beside * x, x)


def grown(seed: int) -> Pair:
    """Return a cost that is a million times larger a thousandth of its size away."""
    x = np.random.default_rng([seed, 59]).normal(size=5)
    start = x.copy()

    def cost(x: Array) -> float:
        return float(np.sum(np.sin(x) + np.expm1(1e7 * (x - start) ** 2)))

    return Pair(cost, np.cos, x)


def rounded(digits: int) -> Rounding:
    return lambda value: round(value, digits)


def plus(offset: float) -> Rounding:
    return lambda value: value + offset


def in_single(offset: float, factor: float = 1.0) -> Rounding:
    return lambda value: np.float32(offset + factor * value)


PAIRS: dict[str, Callable[[int], Pair]] = {
    "float32": Net(float32).pair,
    "float32 with ReLU": Net(float32, relu=True).pair,
    "float32 with ReLU, small weights": Net(float32, relu=True, scale=0.1).pair,
    "float32 in the first layer": Net(float32, first_only=True).pair,
    "float32 beside a penalty": Net(float32, penalty=0.01).pair,
    "a penalty in float32": Net(penalty=0.01, of_penalty=float32).pair,
    "float32 returned": Net(result=np.float32).pair,
    "float32 returned, small weights": Net(result=np.float32, scale=0.01).pair,
    "float32 of tiny parameters": lambda seed: vector(seed, float32, np.float32, 1e-6),
    "float32 beside an offset": lambda seed: vector(seed, after=in_single(1e4)),
    "an offset of 1e8": lambda seed: vector(seed, after=plus(1e8)),
    "bfloat16": Net(bfloat16).pair,
    "bfloat16 in the first layer": Net(bfloat16, first_only=True).pair,
    "bfloat16 beside a penalty": Net(bfloat16, penalty=0.01).pair,
    "bfloat16 of theta alone": lambda seed: vector(seed, bfloat16),
    "float16": Net(float16).pair,
    "float16 in the first layer": Net(float16, first_only=True).pair,
    "bfloat16 with ReLU": Net(bfloat16, relu=True).pair,
    "float16 with ReLU": Net(float16, relu=True).pair,
    "float16 in the first layer, with ReLU": Net(float16, first_only=True, relu=True).pair,
    "two decimals": lambda seed: vector(seed, after=rounded(2)),
    "three decimals, small weights": Net(result=rounded(3), scale=0.01).pair,
    "four decimals": Net(result=rounded(4)).pair,
    "five decimals, small weights": Net(result=rounded(5), scale=0.01).pair,
    "six decimals": lambda seed: vector(seed, after=rounded(6)),
    "a tolerance of 1e-10": lambda seed: iterated(seed, 1e-10),
    "a table": lambda seed: tabulated(seed, 20_001, 0.0),
    "a coarse table beside a smooth part": lambda seed: tabulated(seed, 2001, 0.1),
    "far larger nearby": grown,
}


def faults(pair: Pair, seed: int) -> Iterator[tuple[str, Any]]:
    """Yield wrong gradients: of a parameter, and of one of its components."""
    gradient = pair.grad(pair.params)
    names = list(gradient) if isinstance(gradient, dict) else [None]
    rng = np.random.default_rng([seed, 61])
    name = names[rng.integers(len(names))]
    part = gradient if name is None else gradient[name]
    one = np.arange(part.size).reshape(part.shape) == rng.integers(part.size)
    for fault, factor in (
        ("zero", 0.0 * part),
        ("sign", np.full(part.shape, -1.0)),
        ("10 % off", np.full(part.shape, 1.1)),
        ("one sign", np.where(one, -1.0, 1.0)),
        ("one 10 % off", np.where(one, 1.1, 1.0)),
    ):
        yield fault, factor * part if name is None else {**gradient, name: factor * part}


def is_below_resolution(report: Report, right: Any, wrong: Any) -> bool:
    """Return whether no component is off by more than the report claims to see."""
    for parameter in report.parameters:
        g, h = (v if isinstance(v, np.ndarray) else v[parameter.name] for v in (right, wrong))
        off, size = np.abs(g - h), np.abs(g) + np.abs(h)
        if np.any(off > parameter.resolution * size):
            return False
    return True


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", PAIRS)
def test_no_right_gradient_of_a_noisy_cost_is_called_wrong(name: str, seed: int) -> None:
    pair = PAIRS[name](seed)
    report = check_gradients(pair.cost, pair.grad, pair.params, seed=seed)
    assert report.verdict in ("ok", "inconclusive", "kink")


@pytest.mark.parametrize("name", PAIRS)
def test_directions_call_no_right_gradient_of_a_noisy_cost_wrong(name: str) -> None:
    for seed in range(3):
        pair = PAIRS[name](seed)
        report = check_gradients(pair.cost, pair.grad, pair.params, seed=seed, mode="probe")
        assert report.verdict in ("ok", "inconclusive", "kink")


@pytest.mark.parametrize("digits", [2, 3, 4])
def test_a_cost_that_moves_by_whole_quanta_only_proves_nothing_below_them(digits: int) -> None:
    for seed in range(20):
        pair = logistic(seed, digits)
        report = check_gradients(pair.cost, pair.grad, pair.params, seed=seed)
        assert report.verdict == "inconclusive"
        reasons = [f.message for f in report.findings if f.code == "precision"]
        assert all(f"rounded to {digits} decimals" in message for message in reasons)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", PAIRS)
def test_no_fault_beyond_the_resolution_passes_a_noisy_cost(name: str, seed: int) -> None:
    pair = PAIRS[name](seed)
    right = pair.grad(pair.params)
    for _, wrong in faults(pair, seed):
        report = check_gradients(pair.cost, lambda p, g=wrong: g, pair.params, seed=seed)
        assert not report.passed or is_below_resolution(report, right, wrong)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("float32", "float32"),
        ("float32 returned, small weights", "rounded to float32"),
        ("float32 beside an offset", "float32.*offset"),
        ("bfloat16 in the first layer", "bfloat16"),
        ("two decimals", "is rounded to 2 decimals"),
        ("three decimals, small weights", "is rounded to 3 decimals"),
    ],
)
def test_what_hides_a_slope_is_said_by_name(name: str, reason: str) -> None:
    pair = PAIRS[name](0)
    gradient = pair.grad(pair.params)
    gradient = gradient if isinstance(gradient, np.ndarray) else gradient["W1"]
    gradient.reshape(-1)[0] *= 1e-9  # beyond any noise
    report = check_gradients(pair.cost, pair.grad, pair.params, seed=0)
    found = [finding.message for finding in report.findings if finding.code == "precision"]
    assert not found or any(re.search(reason, message) for message in found)
    assert found or report.verdict == "ok"


def test_an_iteration_that_stops_early_is_asked_about_its_tolerance() -> None:
    verdicts = []
    for seed in range(12):
        pair = iterated(seed, 1e-4)
        report = check_gradients(pair.cost, pair.grad, pair.params, seed=seed)
        verdicts.append(report.verdict)
        if report.verdict == "inconclusive":
            assert any("tolerance" in finding.message for finding in report.findings)
    assert "bug" not in verdicts
    assert verdicts.count("suspect") <= 6


@pytest.mark.parametrize("noise", [1e-3, 1e-4])
def test_who_knows_the_tolerance_says_it(noise: float) -> None:
    for seed in range(6):
        pair = iterated(seed, 1e-5)
        report = check_gradients(pair.cost, pair.grad, pair.params, seed=seed, noise=noise)
        assert report.verdict in ("ok", "inconclusive")
        wrong = check_gradients(
            pair.cost, lambda x, p=pair: -100 * p.grad(x), pair.params, noise=noise
        )
        assert not wrong.passed


@pytest.mark.parametrize("make", [float, np.float64, np.array, lambda v: np.array([v])])
@pytest.mark.parametrize("factor", [1.0, 0.0, -1.0])
def test_a_buffer_that_is_used_again_is_read_at_once(
    make: Callable[[float], Any], factor: float
) -> None:
    buffer = np.zeros(1)

    def cost(x: Array) -> Any:
        buffer[0] = np.sin(x).sum()
        return buffer if make is np.array else (buffer.reshape(()), make(0.0))

    report = check_gradients(cost, lambda x: factor * np.cos(x), np.array([0.3, 1.2]))
    assert report.passed is (factor == 1)


class Unheard(Exception):
    """What a user's own code raises."""


@pytest.mark.parametrize("end", [ValueError("rate must be positive"), Unheard(), AssertionError()])
@pytest.mark.parametrize("room", [0.0, 1e-9, 1e-7])
@pytest.mark.parametrize("both", [False, True])
def test_what_is_raised_at_a_step_is_the_doing_of_the_step(
    end: Exception, room: float, both: bool
) -> None:
    start = np.array([0.7, -1.3, 2.1])
    if both and not room:
        room = 1e-8

    def cost(x: Array) -> float:
        off = np.abs(x - start) if both else x - start
        if np.any(off > room):
            raise end
        return float(np.exp(x).sum())

    assert check_gradients(cost, np.exp, start).verdict == "ok"
    assert not check_gradients(cost, lambda x: 1.1 * np.exp(x), start).passed
    assert not check_gradients(cost, lambda x: 0 * x, start).passed


@pytest.mark.parametrize("guard", [1e10, 1e6, -1.0, 0.0])
@pytest.mark.parametrize("both", [False, True])
def test_a_constant_outside_of_the_domain_is_no_slope(guard: float, both: bool) -> None:
    start = np.array([0.7, -1.3, 2.1])

    def cost(x: Array) -> float:
        off = np.abs(x - start) if both else x - start
        return guard if np.any(off > 1e-8) else float(np.exp(x).sum())

    assert check_gradients(cost, np.exp, start).verdict == "ok"
    assert not check_gradients(cost, lambda x: 1.1 * np.exp(x), start).passed
    assert not check_gradients(cost, lambda x: 0 * x, start).passed


@pytest.mark.parametrize("power", [400, 310])
def test_a_cost_beyond_all_floats_is_no_finite_number(power: int) -> None:
    with pytest.raises(ValueError, match="nonfinite-cost"):
        check_gradients(lambda x: 10**power, lambda x: x, np.ones(2))


@pytest.mark.parametrize("mode", ["full", "probe", "sample"])
@pytest.mark.parametrize("size", [1e-300, 1e-310, 5e-324])
def test_costs_near_the_smallest_float_raise_nothing(mode: Any, size: float) -> None:
    check_gradients(lambda x: size * float(x @ x), lambda x: 2 * size * x, np.ones(3), mode=mode)


@pytest.mark.parametrize("factor", [1.0, 1.1, -1.0])
def test_a_gradient_that_was_computed_in_float32_is_right_to_its_digits(factor: float) -> None:
    pair = Net().pair(3)

    def grad(p: Params) -> Any:
        single = pair.grad({name: float32(array) for name, array in p.items()})
        return {name: (factor * g).astype(np.float32) for name, g in single.items()}

    assert check_gradients(pair.cost, grad, pair.params).passed is (factor == 1)
