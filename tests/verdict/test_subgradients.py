"""Kinks in more than one dimension: which gradients are subgradients, and which are not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.verdict.kinks.refuting import Refuted

Array = npt.NDArray[np.float64]
Grad = Callable[[Array], Array]


def verdict(cost: Callable[[Array], float], grad: Grad, x: Array) -> str:
    """Return the verdict on a pair."""
    return check_gradients(cost, grad, x).verdict


# --- sums of maxima --------------------------------------------------------------------------


Terms = Sequence[tuple[float, tuple[int, ...]]]


def sum_of_maxima(terms: Terms) -> Callable[[Array], float]:
    """Return sum of w * max(x[i] for i in some places)."""
    return lambda x: float(sum(w * max(x[i] for i in places) for w, places in terms))


def credited(terms: Terms, pick: Callable[[Array], Array]) -> Grad:
    """Return the gradient that shares each weight among its places as `pick` has it."""

    def grad(x: Array) -> Array:
        result = np.zeros_like(x)
        for w, places in terms:
            result[list(places)] += w * pick(x[list(places)])
        return result

    return grad


def picked(size: int, place: int) -> Array:
    """Return a unit vector."""
    result = np.zeros(size)
    result[place] = 1.0
    return result


def first(values: Array) -> Array:
    """Credit the first of the largest."""
    return picked(values.size, int(values.argmax()))


def last(values: Array) -> Array:
    """Credit the last of the largest."""
    return picked(values.size, values.size - 1 - int(values[::-1].argmax()))


def evenly(values: Array) -> Array:
    """Credit all of the largest with equal shares."""
    return each(values) / np.count_nonzero(values == values.max())


def each(values: Array) -> Array:
    """Credit each of the largest with the whole, which is wrong where there are several."""
    return np.asarray(values == values.max(), float)


def none_where_tied(values: Array) -> Array:
    """Credit nobody where several are the largest, which is wrong as well."""
    return each(values) if np.count_nonzero(values == values.max()) == 1 else 0 * values


CHAINS: dict[str, tuple[Terms, Array]] = {
    "one of each sign": ([(1.0, (0, 1)), (-3.0, (1, 2))], np.zeros(3)),
    "that cancel": ([(1.0, (0, 1)), (-1.0, (1, 2))], np.zeros(3)),
    "windows of three": (
        [(2.0, (0, 1, 2)), (-1.0, (2, 3, 4)), (0.5, (4, 5, 6)), (-4.0, (1, 3, 5))],
        np.full(7, 0.7),
    ),
    "some of them tied": (
        [(1.0, (0, 1)), (-2.0, (1, 2)), (3.0, (2, 3)), (-1.5, (3, 4))],
        np.array([1.0, 1.0, 0.2, 1.0, 1.0]),
    ),
    "small and large": ([(1e-6, (0, 1)), (-2e-6, (1, 2))], np.full(3, 1e5)),
}


@pytest.mark.parametrize("pick", [first, last, evenly])
@pytest.mark.parametrize("chain", CHAINS)
def test_maxima_of_either_sign_may_credit_any_of_their_largest(
    chain: str, pick: Callable[[Array], Array]
) -> None:
    terms, x = CHAINS[chain]
    assert check_gradients(sum_of_maxima(terms), credited(terms, pick), x).passed


@pytest.mark.parametrize("pick", [each, none_where_tied])
@pytest.mark.parametrize("chain", [name for name in CHAINS if name != "that cancel"])
def test_maxima_credit_their_largest_with_one_weight_in_all(
    chain: str, pick: Callable[[Array], Array]
) -> None:
    terms, x = CHAINS[chain]
    assert verdict(sum_of_maxima(terms), credited(terms, pick), x) == "bug"


@pytest.mark.parametrize("factor", [-1.0, 0.5, 1.01, 2.0])
@pytest.mark.parametrize("chain", CHAINS)
def test_a_factor_is_found_at_maxima_that_are_tied(chain: str, factor: float) -> None:
    terms, x = CHAINS[chain]
    right = credited(terms, first)
    assert verdict(sum_of_maxima(terms), lambda x: factor * right(x), x) == "bug"


def test_tied_maxima_are_right_where_the_gradient_is_known_close_by_alone() -> None:
    terms, x = CHAINS["one of each sign"]
    right = credited(terms, first)
    close_by = lambda x: right(x) if np.abs(x).max() < 1e-4 else np.full(3, np.nan)  # noqa: E731
    assert check_gradients(sum_of_maxima(terms), close_by, x).passed


@pytest.mark.parametrize(
    ("gradient", "expected"),
    [
        ((1, -3, 0), "kink"),
        ((1, 0, -3), "kink"),
        ((0, 1, -3), "kink"),
        ((0, -2, 0), "kink"),
        ((0, 0, 0), "bug"),
        ((1, 1, -3), "bug"),
        ((1, -6, 0), "bug"),
        ((2, -3, 0), "bug"),
        ((1, -3, 1), "bug"),
    ],
)
def test_a_constant_answer_is_right_where_it_is_the_gradient_of_a_region(
    gradient: tuple[float, ...], expected: str
) -> None:
    terms, x = CHAINS["one of each sign"]
    answer = np.array(gradient, float)
    assert verdict(sum_of_maxima(terms), lambda x: answer, x) == expected


def test_the_message_says_that_the_gradient_is_a_limit() -> None:
    terms, x = CHAINS["one of each sign"]
    [finding] = check_gradients(sum_of_maxima(terms), credited(terms, first), x).findings
    assert finding.code == "kink"
    assert "theta[1]: the cost has a kink here" in finding.message
    assert "is a limit of right gradients nearby: a valid subgradient" in finding.message


def test_the_message_says_that_the_gradient_is_none() -> None:
    terms, x = CHAINS["one of each sign"]
    found = check_gradients(sum_of_maxima(terms), credited(terms, each), x).findings
    assert any("no subgradient" in finding.message for finding in found)


# --- pooling ---------------------------------------------------------------------------------


def pooling(
    size: int, stride: int, border: int, pick: Callable[[Array], Array], seed: int
) -> tuple[Callable[[Array], float], Grad, Array]:
    """Return max pooling over an image with a black border, weighed by either sign."""
    rng = np.random.default_rng(seed)
    image = np.pad(rng.uniform(0.1, 1.0, (2, 3)), border)
    rows, columns = (range(0, n - size + 1, stride) for n in image.shape)
    weights = {(i, j): rng.normal() for i in rows for j in columns}

    def cost(x: Array) -> float:
        return float(sum(w * x[i : i + size, j : j + size].max() for (i, j), w in weights.items()))

    def grad(x: Array) -> Array:
        result = np.zeros_like(x)
        for (i, j), w in weights.items():
            window = x[i : i + size, j : j + size]
            result[i : i + size, j : j + size] += w * pick(window.ravel()).reshape(window.shape)
        return result

    return cost, grad, image


@pytest.mark.parametrize("pick", [first, last, evenly])
@pytest.mark.parametrize(("size", "stride", "border"), [(2, 1, 1), (2, 1, 2), (3, 2, 3)])
def test_overlapping_windows_over_a_black_border_are_right(
    size: int, stride: int, border: int, pick: Callable[[Array], Array]
) -> None:
    assert check_gradients(*pooling(size, stride, border, pick, 5)).passed


@pytest.mark.parametrize(("size", "stride", "border"), [(2, 1, 2), (3, 2, 3)])
def test_a_mask_of_all_that_equal_the_maximum_is_wrong(size: int, stride: int, border: int) -> None:
    assert verdict(*pooling(size, stride, border, each, 5)) == "bug"


def test_pooled_gradients_in_the_wrong_place_are_wrong() -> None:
    cost, grad, image = pooling(2, 1, 1, first, 5)
    assert verdict(cost, lambda x: np.roll(grad(x), 1, axis=1), image) == "bug"


# --- order -----------------------------------------------------------------------------------


COEFFICIENTS = np.array([3.0, -1.0, 2.0, -5.0, 1.0, 4.0])
TIED = np.array([1.0, 1.0, 0.0, 0.0, 0.0, 2.0])


def ranks(x: Array) -> npt.NDArray[np.intp]:
    return np.asarray(np.argsort(np.argsort(x, kind="stable")))


def test_sorted_values_with_ties_are_right_in_any_stable_order() -> None:
    cost = lambda x: float(COEFFICIENTS @ np.sort(x))  # noqa: E731
    assert check_gradients(cost, lambda x: COEFFICIENTS[ranks(x)], TIED).passed
    backwards = lambda x: COEFFICIENTS[ranks(x[::-1])[::-1]]  # noqa: E731
    assert check_gradients(cost, backwards, TIED).passed


def test_the_order_instead_of_the_ranks_is_wrong_with_ties() -> None:
    cost = lambda x: float(COEFFICIENTS @ np.sort(x))  # noqa: E731
    assert verdict(cost, lambda x: COEFFICIENTS[np.argsort(x, kind="stable")], TIED) == "bug"


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_the_largest_few_with_ties_are_counted_once(k: int) -> None:
    x = np.array([0.5, 2.0, 2.0, 2.0, -1.0, 3.0])
    cost = lambda x: float(np.sort(x)[-k:].sum() ** 2)  # noqa: E731

    def of_first(x: Array) -> Array:
        result = np.zeros_like(x)
        result[np.argsort(-x, kind="stable")[:k]] = 2 * np.sort(x)[-k:].sum()
        return result

    def of_all_above(x: Array) -> Array:
        return np.asarray(2 * np.sort(x)[-k:].sum() * (x >= np.sort(x)[-k]))

    assert check_gradients(cost, of_first, x).passed
    tied = k in (2, 3)
    assert verdict(cost, of_all_above, x) == ("bug" if tied else "ok")


@pytest.mark.parametrize("values", [[1.0, 1.0, 1.0, 0.0, 3.0], [2.0, 2.0, 2.0], [0.0] * 5])
def test_a_median_of_equals_may_be_any_of_them(values: list[float]) -> None:
    x = np.array(values)
    middle = x.size // 2
    median = lambda x: float(np.median(x))  # noqa: E731
    assert check_gradients(median, lambda x: picked(x.size, int(np.argsort(x)[middle])), x).passed
    assert verdict(median, lambda x: 2 * picked(x.size, int(np.argsort(x)[middle])), x) == "bug"


# --- where no axis shows a kink -----------------------------------------------------------------


def test_kinks_that_no_axis_shows_are_seen_nearby() -> None:
    def cost(x: Array) -> float:
        return float(abs(x[0] + x[1]) - abs(x[0] - x[1]))

    def grad(x: Array) -> Array:
        plus, minus = (1.0 if s >= 0 else -1.0 for s in (x[0] + x[1], x[0] - x[1]))
        return np.array([plus - minus, plus + minus])

    assert check_gradients(cost, grad, np.zeros(2)).passed
    assert verdict(cost, lambda x: 1.5 * grad(x), np.zeros(2)) == "bug"
    assert verdict(cost, lambda x: -grad(x), np.zeros(2)) == "bug"


def test_a_gradient_that_is_wrong_at_the_point_alone_is_no_limit() -> None:
    def cost(x: Array) -> float:
        return float(np.sum(np.sin(x)) + abs(x[0]))

    def grad(x: Array) -> Array:
        smooth: Array = np.where(x == 0.0, 0.25, np.cos(x))
        return np.asarray(smooth + np.array([float(x[0] > 0), 0.0, 0.0]))

    assert verdict(cost, grad, np.array([0.0, 0.0, 0.3])) == "bug"


def test_a_fault_that_vanishes_a_little_away_is_found() -> None:
    places = 0.1 + np.array([-8e-6, -1.3e-5, -2.5e-6, 4.2e-6, 1.1e-5])

    def grad(x: Array) -> Array:
        return np.array([np.sign(x[0] - places).mean() + 1, np.sign(x[1])])

    def cost(x: Array) -> float:
        return float(np.abs(x[0] - places).mean() + x[0] + abs(x[1]))

    x = np.array([0.1, 0.0])
    assert check_gradients(cost, grad, x).passed
    assert verdict(cost, lambda x: grad(x) * np.array([1.05, 1.0]), x) == "bug"


# --- units at their kink ----------------------------------------------------------------------


def relu_net(
    at_zero: float, factor: float, seed: int, scale: float
) -> tuple[
    Callable[[dict[str, Array]], float],
    Callable[[dict[str, Array]], dict[str, Array]],
    dict[str, Array],
]:
    """Return a net whose hidden units all stand at 0 for half of its examples."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(8, 4)) * (np.arange(8) % 2)[:, None]
    y = rng.normal(size=(8, 2))
    params = {"W": scale * rng.normal(size=(4, 6)), "b": np.zeros(6), "V": rng.normal(size=(6, 2))}

    def forward(p: dict[str, Array]) -> tuple[Array, Array]:
        z = X @ p["W"] + p["b"]
        return z, np.maximum(z, 0) @ p["V"] - y

    def cost(p: dict[str, Array]) -> float:
        return float(np.mean(forward(p)[1] ** 2))

    def grad(p: dict[str, Array]) -> dict[str, Array]:
        z, off = forward(p)
        dout = 2 * off / off.size
        dz = dout @ p["V"].T * np.where(z == 0, at_zero, factor * (z > 0))
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "V": np.maximum(z, 0).T @ dout}

    return cost, grad, params


@pytest.mark.parametrize("scale", [1.0, 0.01, 0.0])
@pytest.mark.parametrize("at_zero", [0.0, 0.5, 1.0])
def test_units_at_zero_may_pass_all_half_or_none_of_the_gradient(
    at_zero: float, scale: float
) -> None:
    for seed in range(6):
        assert check_gradients(*relu_net(at_zero, 1.0, seed, scale)).passed


@pytest.mark.parametrize("at_zero", [-1.0, 2.0, 10.0])
def test_units_at_zero_may_not_pass_more(at_zero: float) -> None:
    for seed in range(5):
        assert not check_gradients(*relu_net(at_zero, 1.0, seed, 1.0)).passed


def wrong_parameters(report: Report) -> set[str]:
    return {c.parameter for c in report.components if c.verdict in ("suspect", "bug")}


def test_a_fault_beside_units_at_zero_names_the_right_parameters() -> None:
    for seed in range(5):
        report = check_gradients(*relu_net(0.0, 1.1, seed, 1.0))
        assert wrong_parameters(report) == {"W", "b"}


@pytest.mark.parametrize("factor", [1.1, -1.0, 2.0])
def test_nudges_ask_again_in_groups_and_find_the_same(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [relu_net(0.0, factor, seed, 1.0) for seed in range(4)]
    grouped = [check_gradients(*pair) for pair in pairs]
    monkeypatch.setattr(Refuted, "_groups", lambda *_: iter(()))
    single = [check_gradients(*pair) for pair in pairs]
    for ours, each in zip(grouped, single, strict=True):
        assert {c.name: c.verdict for c in ours.components} == {
            c.name: c.verdict for c in each.components
        }
    assert sum(r.evaluations for r in grouped) < 0.8 * sum(r.evaluations for r in single)


@pytest.mark.parametrize("mode", ["full", "sample", "probe"])
def test_a_net_with_weights_of_zero_is_right_in_every_mode(
    mode: Literal["full", "sample", "probe"],
) -> None:
    rng = np.random.default_rng(7)
    X, y = rng.normal(size=(12, 15)), rng.normal(size=(12, 3))
    params = {"W": np.zeros((15, 8)), "b": np.zeros(8), "V": rng.normal(size=(8, 3))}

    def forward(p: dict[str, Array]) -> tuple[Array, Array]:
        z = X @ p["W"] + p["b"]
        return z, np.maximum(z, 0) @ p["V"] - y

    def cost(p: dict[str, Array]) -> float:
        return float(np.mean(forward(p)[1] ** 2))

    def grad(p: dict[str, Array]) -> dict[str, Array]:
        z, off = forward(p)
        dout = 2 * off / off.size
        dz = dout @ p["V"].T * (z > 0)
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "V": np.maximum(z, 0).T @ dout}

    assert check_gradients(cost, grad, params, mode=mode).passed
    wrong = {**params, "W": 0.1 * rng.normal(size=(15, 8))}
    assert not check_gradients(
        cost, lambda p: {**grad(p), "W": 1.1 * grad(p)["W"]}, wrong, mode=mode
    ).passed


def test_many_ties_are_right_along_random_directions() -> None:
    rng = np.random.default_rng(0)
    weights, x = rng.normal(size=300), np.round(rng.normal(size=300), 1)
    cost = lambda x: float(weights @ np.sort(x))  # noqa: E731
    assert check_gradients(cost, lambda x: weights[ranks(x)], x, mode="probe").passed
    wrong = check_gradients(
        cost, lambda x: weights[np.argsort(x, kind="stable")], x, mode="probe", samples=5
    )
    assert wrong.verdict == "bug"


@pytest.mark.parametrize("mode", ["sample", "probe"])
def test_ties_are_right_in_every_mode(mode: Literal["sample", "probe"]) -> None:
    cost, grad, image = pooling(2, 1, 2, first, 7)
    assert check_gradients(cost, grad, image, mode=mode).passed
    assert not check_gradients(cost, lambda x: 1.1 * grad(x), image, mode=mode).passed


def test_a_fault_at_mixed_scales_is_no_kink() -> None:
    """Nudges by the length of the largest would lead to where the fault vanishes."""
    rng = np.random.default_rng(5)
    scales = 10.0 ** rng.uniform(-9, 9, 12)
    x = scales * rng.normal(size=12)

    def cost(x: Array) -> float:
        z = x / scales
        return float(np.sum(np.tanh(z)) + np.tanh(z[:6] + z[6:]) @ np.tanh(z[:6]))

    def grad(x: Array) -> Array:
        z = x / scales
        s, t = np.tanh(z[:6] + z[6:]), np.tanh(z[:6])
        result = 1 / np.cosh(z) ** 2
        result[:6] += (1 - s * s) * t + s * (1 - t * t)
        result[6:] += (1 - s * s) * t
        return np.asarray(result / scales)

    assert check_gradients(cost, grad, x).verdict == "ok"
    modes: tuple[Literal["full", "probe"], ...] = ("full", "probe")
    for mode in modes:
        report = check_gradients(cost, lambda x: grad(x) * 1.1, x, mode=mode)
        assert report.verdict == "bug"
        wrong = check_gradients(cost, lambda x: grad(x) * np.repeat([1, 0.0], 6), x, mode=mode)
        assert wrong.verdict == "bug"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_ties_in_arrays_of_few_digits_are_set_apart(dtype: type) -> None:
    cost, grad, image = pooling(2, 1, 2, first, 5)
    own: dict[str, npt.NDArray[Any]] = {"x": image.astype(dtype)}
    before = own["x"].tobytes()

    def double() -> Array:
        return np.asarray(own["x"], float)

    for seed in range(20):  # some lines cross a kink with their first step
        right = check_gradients(
            lambda: cost(double()), lambda: {"x": grad(double())}, own, inplace=True, seed=seed
        )
        assert right.passed
    wrong = check_gradients(
        lambda: cost(double()), lambda: {"x": 1.2 * grad(double())}, own, inplace=True
    )
    assert wrong.verdict == "bug"
    assert own["x"].tobytes() == before


class Net:
    """A network whose backward pass uses what its forward pass has kept, with units at 0."""

    def __init__(self, factor: float) -> None:
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(8, 4)) * (np.arange(8) % 2)[:, None]
        self.y, self.factor = rng.normal(size=(8, 2)), factor
        self.params = {
            "W": rng.normal(size=(4, 6)),
            "b": np.zeros(6),
            "V": rng.normal(size=(6, 2)),
        }

    def loss(self) -> float:
        p = self.params
        self.z = self.X @ p["W"] + p["b"]
        self.h = np.maximum(self.z, 0)
        self.off = self.h @ p["V"] - self.y
        return float(np.mean(self.off**2))

    def gradient(self) -> dict[str, Array]:
        dout = 2 * self.off / self.off.size
        dz = self.factor * (dout @ self.params["V"].T) * (self.z > 0)
        return {"W": self.X.T @ dz, "b": dz.sum(axis=0), "V": self.h.T @ dout}


@pytest.mark.parametrize("mode", ["full", "probe"])
def test_a_backward_pass_is_asked_after_its_forward_pass(mode: Literal["full", "probe"]) -> None:
    net = Net(1.0)
    report = check_gradients(net.loss, net.gradient, net.params, inplace=True, mode=mode)
    assert (report.passed, report.verdict) == (True, "kink")
    wrong = Net(1.1)
    report = check_gradients(wrong.loss, wrong.gradient, wrong.params, inplace=True, mode=mode)
    assert report.verdict == "bug"
    assert wrong_parameters(report) <= {"W", "b"}


# --- what is asked nearby --------------------------------------------------------------------


def beside_a_tie(unit: float, fault: float, reach: float = math.inf) -> tuple[Any, Grad]:
    """Return a pair at a tie, with a fault in one slope; the gradient has no value further off."""
    here = np.array([0.5, 0.5, 0.3])

    def cost(x: Array) -> float:
        return unit * float(2 * max(x[0], x[1]) + np.sin(x[2]))

    def grad(x: Array) -> Array:
        slopes = np.array([0.0, 0.0, np.cos(x[2])])
        slopes[0 if x[0] >= x[1] else 1] = 2 + fault
        return unit * slopes if np.abs(x - here).max() <= reach else np.full(3, np.nan)

    return cost, grad


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("fault", [2e-4, 2e-3])
def test_a_small_fault_at_a_tie_is_a_suspect_in_any_unit(unit: float, fault: float) -> None:
    here = np.array([0.5, 0.5, 0.3])
    assert verdict(*beside_a_tie(unit, 0.0), here) == "kink"
    assert verdict(*beside_a_tie(unit, fault), here) == "suspect"


@pytest.mark.parametrize("reach", [1e-7, 1e-6, 1e-5, 1e-4])
def test_a_gradient_without_a_value_a_little_away_proves_nothing_there(reach: float) -> None:
    here = np.array([0.5, 0.5, 0.3])
    assert verdict(*beside_a_tie(1.0, 0.0, reach), here) == "kink"
    assert verdict(*beside_a_tie(1.0, 1.0, reach), here) == "bug"
