"""One operation rounds coarsely inside a cost that is exact elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients

Array = npt.NDArray[np.float64]
Params = dict[str, Array]
Rounding = Callable[[Any], Array]
Mode = Literal["full", "probe"]


def bfloat16(values: Any) -> Array:
    """Round to eight binary digits."""
    mantissa, exponent = np.frexp(np.asarray(values, float))
    return np.asarray(np.ldexp(np.round(mantissa * 256) / 256, exponent))


def float16(values: Any) -> Array:
    return np.asarray(values, np.float16).astype(float)


def table(values: Any) -> Array:
    return np.asarray(np.round(np.asarray(values) * 1000) / 1000)


ROUNDINGS: dict[str, Rounding] = {"bfloat16": bfloat16, "float16": float16, "table": table}


class Sum:
    """Sines of one parameter, and a product of the other's softplus that is rounded."""

    def __init__(self, seed: int, rounding: Rounding, share: float = 1.0) -> None:
        rng = np.random.default_rng([seed, 83])
        self.w, self.share, self.rounding = rng.uniform(1, 2, 4), share, rounding
        self.params = {"exact": rng.normal(size=4), "coarse": rng.normal(size=3)}

    def cost(self, p: Params) -> float:
        product = self.rounding(np.prod(self.rounding(np.logaddexp(0, p["coarse"]))))
        return float(np.sum(self.w * np.sin(p["exact"])) + self.share * np.sin(product))

    def grad(self, p: Params) -> Params:
        soft = np.logaddexp(0, p["coarse"])
        product = np.prod(soft)
        slopes = product / soft / (1 + np.exp(-p["coarse"]))
        return {
            "exact": self.w * np.cos(p["exact"]),
            "coarse": self.share * np.cos(product) * slopes,
        }

    def check(self, seed: int, mode: Mode = "full", **factors: float) -> Report:
        """Check the pair with factors in its gradient."""

        def grad(p: Params) -> Params:
            return {name: factors.get(name, 1.0) * g for name, g in self.grad(p).items()}

        return check_gradients(self.cost, grad, self.params, seed=seed, mode=mode)


def verdicts(report: Report) -> dict[str, str]:
    return {one.name: one.verdict for one in report.parameters}


@pytest.mark.parametrize("mode", ["full", "probe"])
@pytest.mark.parametrize("share", [1.0, 0.03, 30.0])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_what_does_not_go_through_it_is_decided(rounding: str, share: float, mode: Mode) -> None:
    for seed in range(10):
        report = Sum(seed, ROUNDINGS[rounding], share).check(seed, mode)

        assert report.passed
        assert verdicts(report)["exact"] == "ok"


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_faults_beside_it_are_found_and_it_is_called_right(rounding: str) -> None:
    for seed in range(10):
        report = Sum(seed, ROUNDINGS[rounding]).check(seed, exact=-1.0)

        assert verdicts(report)["exact"] == "bug"
        assert verdicts(report)["coarse"] in ("ok", "inconclusive")


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_gross_faults_within_it_are_found(rounding: str) -> None:
    for seed in range(10):
        report = Sum(seed, ROUNDINGS[rounding]).check(seed, coarse=-3.0)

        assert verdicts(report) == {"exact": "ok", "coarse": "bug"}


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_components_of_one_vector_are_told_apart(rounding: str) -> None:
    for seed in range(10):
        pair = Sum(seed, ROUNDINGS[rounding])
        theta = np.concatenate([pair.params["exact"], pair.params["coarse"]])

        def opened(theta: Array) -> Params:
            return {"exact": theta[:4], "coarse": theta[4:]}

        report = check_gradients(
            lambda theta, pair=pair: pair.cost(opened(theta)),
            lambda theta, pair=pair: np.concatenate([*pair.grad(opened(theta)).values()]),
            theta,
            seed=seed,
        )
        unknown = {c.index[0] for c in report.components if c.verdict == "inconclusive"}

        assert report.verdict in ("ok", "inconclusive")
        assert unknown <= {4, 5, 6}


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("mode", ["full", "probe"])
def test_a_rounded_term_of_a_normalizer_makes_no_fault_of_the_others(
    rounding: str, mode: Mode
) -> None:
    """It shifts their slopes by as much as it rounds, at all steps alike."""
    for seed in range(20):
        rng = np.random.default_rng([seed, 89])
        c = rng.normal(size=4)
        params = {"exact": rng.normal(size=3), "coarse": rng.normal(size=())}

        def cost(p: Params, c: Array = c) -> float:
            rounded = ROUNDINGS[rounding](ROUNDINGS[rounding](c) + p["coarse"])
            return float(np.logaddexp.reduce([*np.tanh(p["exact"]), *rounded]))

        def grad(p: Params, c: Array = c) -> Params:
            soft = np.exp([*np.tanh(p["exact"]), *(c + p["coarse"])])
            soft /= soft.sum()
            return {
                "exact": soft[:3] / np.cosh(p["exact"]) ** 2,
                "coarse": np.array(soft[3:].sum()),
            }

        report = check_gradients(cost, grad, params, mode=mode, seed=seed)

        assert report.verdict in ("ok", "inconclusive")


@pytest.mark.parametrize("mode", ["full", "probe"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_rounded_factor_makes_no_fault_of_what_it_multiplies(rounding: str, mode: Mode) -> None:
    """Of slopes over ten decades: the smallest agree because noise hides that they are off."""
    for seed in range(20):
        rng = np.random.default_rng([seed, 109])
        w = 10.0 ** rng.uniform(-10, 0, 12)
        params = {"inside": rng.normal(size=12), "factor": 1 + rng.random(size=())}

        def cost(p: Params, w: Array = w) -> float:
            return float(ROUNDINGS[rounding](p["factor"]) * (w @ np.sin(p["inside"])))

        def grad(p: Params, w: Array = w) -> Params:
            inside = p["factor"] * w * np.cos(p["inside"])
            return {"inside": inside, "factor": np.array(w @ np.sin(p["inside"]))}

        report = check_gradients(cost, grad, params, mode=mode, seed=seed)

        assert report.verdict in ("ok", "inconclusive")


def test_a_rounded_value_that_stops_on_one_side_is_looked_at_on_the_other() -> None:
    for seed in range(10):
        rng = np.random.default_rng([seed, 97])
        params = {"edge": np.array(1 - 0.01 * rng.random()), "other": rng.normal(size=3)}

        def cost(p: Params) -> float:
            clipped = bfloat16(np.clip(bfloat16(p["edge"]), -1, 1))
            return float(np.exp(clipped) + np.sum(p["other"] ** 3))

        def grad(p: Params) -> Params:
            return {"edge": np.exp(p["edge"]), "other": -3 * p["other"] ** 2}

        report = check_gradients(cost, grad, params, seed=seed)

        assert verdicts(report) == {"edge": "inconclusive", "other": "bug"}


@pytest.mark.parametrize("factor", [-30.0, 30.0])
def test_gross_faults_of_a_cost_that_hardly_moves_are_found(factor: float) -> None:
    """Between its noise and a length there is room for two steps."""
    for seed in range(10):
        rng = np.random.default_rng([seed, 101])
        w, x = rng.uniform(0.3, 0.6, 6), rng.normal(size=6)

        def cost(x: Array, w: Array = w) -> float:
            return float(bfloat16(4 + w @ np.sin(x)))

        def grad(x: Array, w: Array = w, factor: float = 1.0) -> Array:
            return factor * w * np.cos(x)

        right = check_gradients(cost, grad, x, seed=seed)
        wrong = check_gradients(cost, lambda x, g=grad: g(x, factor=factor), x, seed=seed)

        assert right.verdict in ("ok", "inconclusive")
        assert wrong.verdict == "bug"
        assert "rounded to bfloat16" in str(right)


@pytest.mark.parametrize("mode", ["full", "probe"])
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_a_gradient_of_it_that_was_never_filled_in_is_found(rounding: str, mode: Mode) -> None:
    for seed in range(20):
        pair = Sum(seed, ROUNDINGS[rounding])

        def grad(p: Params, pair: Sum = pair) -> Params:
            return {**pair.grad(p), "coarse": np.zeros(3)}

        report = check_gradients(pair.cost, grad, pair.params, mode=mode, seed=seed)

        assert verdicts(report)["coarse"] in ("bug", "inconclusive")


def test_directions_look_at_many_arrays_without_a_gradient_in_few_calls() -> None:
    params = {f"unused{k}": np.ones(3) for k in range(200)} | {"used": np.ones(3)}

    def check(used: str) -> Report:
        return check_gradients(
            lambda p: float(np.sum(p["used"] ** 2) + np.sum(table(p[used]))),
            lambda p: {name: (2 * x if name == "used" else 0 * x) for name, x in p.items()},
            params,
            mode="probe",
        )

    right = check_gradients(
        lambda p: float(np.sum(p["used"] ** 2)),
        lambda p: {name: (2 * x if name == "used" else 0 * x) for name, x in p.items()},
        params,
        mode="probe",
    )

    assert right.passed
    assert right.evaluations <= 40
    assert verdicts(check("unused77"))["unused77"] == "bug"
