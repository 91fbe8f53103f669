"""Layers and pullbacks as costs: names of the inputs, and the upstream gradient."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import GradientError, ProblemError, Report, check_gradients, gradcheck
from pytest_gradcheck.problem.layers import layer, name_of, named, pullback
from pytest_gradcheck.problem.layers.outputs import _Parts
from pytest_gradcheck.problem.layers.upstream import Upstream

Array = npt.NDArray[np.float64]


def conv(x: Any, w: Any, /, b: Any = None, *rest: Any, stride: int = 1) -> Any:
    return x, w, b, rest, stride


class Dense:
    def forward(self, x: Any, w: Any) -> Any:
        return x @ w, (x, w)

    def __call__(self, x: Any) -> Any:
        return x


NAMES: dict[str, tuple[Any, int, list[str]]] = {
    "arguments": (conv, 2, ["x", "w"]),
    "an argument with a default": (conv, 3, ["x", "w", "b"]),
    "arguments beyond those named": (conv, 5, ["x", "w", "b", "rest[0]", "rest[1]"]),
    "a method": (Dense().forward, 2, ["x", "w"]),
    "a callable object": (Dense(), 1, ["x"]),
    "a partial": (functools.partial(conv, 1), 2, ["w", "b"]),
    "a function that tells no signature": (max, 2, ["inputs[0]", "inputs[1]"]),
    "any number": (lambda *xs: xs, 2, ["xs[0]", "xs[1]"]),
}


@pytest.mark.parametrize(("function", "count", "names"), NAMES.values(), ids=NAMES.keys())
def test_inputs_take_the_names_of_the_arguments(function: Any, count: int, names: Any) -> None:
    inputs = tuple(range(count))
    assert named(function, inputs) == dict(zip(names, inputs, strict=True))


def test_a_layer_is_a_cost_that_hands_its_gradient_the_upstream_one() -> None:
    seen: list[Any] = []

    def forward(x: Array) -> tuple[Array, str]:
        return 2 * x, "cache"

    def backward(dout: Array, cache: str) -> Array:
        seen.append((dout.copy(), cache))
        return 2 * dout

    made = layer(forward, backward)
    value, rest = made.cost({"x": np.arange(3.0)})
    made.gradient(rest)
    dout, cache = seen[0]
    assert cache == "cache"
    assert value == pytest.approx(float(dout @ (2 * np.arange(3.0))))
    assert made.cost({"x": np.arange(3.0)})[0] == value


def test_a_pullback_gets_an_upstream_gradient_like_the_output() -> None:
    seen: list[Any] = []

    def pull(dout: Any) -> Any:
        seen.append(dout)
        return np.asarray(dout["a"]) + np.array([[dout["b"][0][0], dout["b"][0][1]], [0.0, 0.0]])

    made = pullback(lambda x: ({"a": x, "b": [x[0]]}, pull))
    made.gradient(made.cost({"x": np.ones((2, 2))})[1])
    assert seen[0]["a"].shape == (2, 2)
    assert seen[0]["b"][0].shape == (2,)


def test_a_turned_layer_goes_by_the_names_of_the_users_functions() -> None:
    made = layer(Dense().forward, conv)
    assert (name_of(made.cost), name_of(made.gradient)) == ("Dense.forward", "conv")
    assert name_of(pullback(functools.partial(conv, 1)).gradient) == "the pullback of conv"
    assert name_of(Dense()) == "Dense"


# What the upstream gradient is asked about


def wrong(report: Report) -> list[str]:
    return sorted({c.parameter for c in report.components if c.verdict == "bug"})


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings if finding.severity == "cause"]


X = np.random.default_rng(0).normal(size=(4, 3))


def test_a_backward_pass_that_takes_the_input_for_the_upstream_gradient_is_wrong() -> None:
    report = check_gradients.layer(lambda x: (x**2, x), lambda dout, x: 2 * dout * dout, X)
    assert not report.passed
    assert codes(report)[0] == "nonlinear-upstream"


@pytest.mark.parametrize("decades", [3, 6, 9])
def test_a_fault_in_a_small_output_is_seen_beside_a_large_one(decades: int) -> None:
    size = 10.0**decades

    def f(sign: float) -> Any:
        return lambda x: (
            np.array([size * np.sin(x[0]), x[0] ** 2 / size]),
            lambda v: np.array([v[0] * size * np.cos(x[0]) + sign * v[1] * 2 * x[0] / size]),
        )

    x = np.array([0.4])
    assert check_gradients.vjp(f(1.0), x).verdict == "ok"
    assert check_gradients.vjp(f(-1.0), x).verdict == "bug"


def test_an_output_that_does_not_move_is_no_trouble() -> None:
    def f(x: Array) -> Any:
        alive = x > 0
        return np.array([*np.where(alive, x, 0.0), 7.0]), lambda v: np.where(alive, v[:-1], 0.0)

    assert check_gradients.vjp(f, np.array([0.5, -0.3, 2.0])).verdict == "ok"


@pytest.mark.parametrize("nested", [False, True])
def test_a_backward_pass_that_changes_the_upstream_gradient_is_named(nested: bool) -> None:
    def forward(x: Array) -> Any:
        out = np.maximum(x, 0)
        return ({"a": out, "b": x} if nested else out), x

    def backward(dout: Any, x: Array) -> Array:
        upstream: Array = dout["a"] if nested else dout
        upstream[x <= 0] = 0
        return upstream + dout["b"] if nested else upstream

    with pytest.raises(ProblemError, match=r"backward pass of .*forward changes") as caught:
        check_gradients.layer(forward, backward, X)
    assert caught.value.code == "mutated-upstream"
    assert ("dout.a[" if nested else "dout[") in str(caught.value)


def test_a_backward_pass_that_is_right_for_one_memory_order_only_fails() -> None:
    def backward(dout: Array, x: Array) -> Any:
        return 2 * x * np.ravel(dout, order="K").reshape(x.shape)

    report = check_gradients.layer(lambda x: (x**2, x), backward, X)
    assert not report.passed
    assert codes(report)[0] == "memory-order"
    assert "contiguous upstream gradient only" in report.findings[0].message


@pytest.mark.parametrize(
    "flattened",
    [
        lambda dout: np.frombuffer(dout.tobytes("A"), dout.dtype),
        lambda dout: dout.ravel("A"),
        lambda dout: dout.reshape(-1, order="A"),
    ],
)
def test_a_backward_pass_that_reads_memory_as_it_lies_fails(
    flattened: Callable[[Array], Array],
) -> None:
    """Of an array with gaps it reads what it should, and of Fortran's order it does not."""

    def backward(dout: Array, x: Array) -> Any:
        return 2 * x * flattened(dout).reshape(x.shape)

    report = check_gradients.layer(lambda x: (x**2, x), backward, X)
    assert not report.passed
    assert codes(report)[0] == "memory-order"
    assert "in Fortran's memory order the gradient of x is another" in report.findings[0].message
    column = X[:, :1]  # which has one order
    assert check_gradients.layer(lambda x: (x**2, x), backward, column).passed


def test_a_backward_pass_that_raises_for_another_memory_order_is_reported() -> None:
    def backward(dout: Array, x: Array) -> Any:
        flat = np.frombuffer(dout.data.cast("B"))  # for a contiguous array only
        return 2 * x * flat.reshape(x.shape)

    with pytest.raises(ProblemError, match="contiguous upstream gradient only"):
        check_gradients.layer(lambda x: (x**2, x), backward, X)


def test_a_backward_pass_that_ignores_the_upstream_gradient_is_reported() -> None:
    report = check_gradients.layer(lambda x: (x**2, x), lambda dout, x: 2 * x, X)
    assert not report.passed
    assert codes(report)[0] == "ignores-upstream"


def test_a_backward_pass_whose_second_call_differs_fails() -> None:
    seen: list[Array] = []

    def backward(dout: Array, x: Array) -> Array:
        seen.append(2 * x * dout)
        return np.asarray(sum(seen[-2:-1], seen[0]))

    with pytest.raises(ProblemError) as caught:
        check_gradients.layer(lambda x: (x**2, x), backward, X)
    assert caught.value.code == "nondeterministic-gradient"


ORDERS: dict[str, Any] = {
    "by the name of the cache": lambda cache, upwards: 2 * cache * upwards,
    "by the name of the upstream gradient": lambda x, dout: 2 * x * dout,
    "by a trial": lambda pair, upwards: 2 * pair["x"] * upwards,
}


@pytest.mark.parametrize("order", ORDERS)
def test_a_backward_pass_in_the_order_of_jax_is_understood(order: str) -> None:
    def forward(x: Array) -> Any:
        return np.sin(x), {"x": x} if order == "by a trial" else np.cos(x) / 2

    def slope(saved: Any, upwards: Any) -> Any:
        return np.cos(saved["x"]) * upwards

    backward = slope if order == "by a trial" else ORDERS[order]
    assert check_gradients.layer(forward, backward, X).verdict == "ok"


def test_a_pullback_may_come_before_the_output() -> None:
    report = check_gradients.vjp(lambda x: (lambda v: v * np.cos(x), np.sin(x)), X)
    assert report.verdict == "ok"


@pytest.mark.parametrize("in_a_tuple", [False, True])
def test_one_dict_of_inputs_is_one_input(in_a_tuple: bool) -> None:
    def f(params: Any) -> Any:
        def pull(v: Array) -> Any:
            grads = {"W": X.T @ v, "b": v.sum(axis=0)}
            return (grads,) if in_a_tuple else grads

        return X @ params["W"] + params["b"], pull

    report = check_gradients.vjp(f, {"W": np.ones((3, 2)), "b": np.zeros(2)})
    assert report.verdict == "ok"
    assert [p.name for p in report.parameters] == ["params.W", "params.b"]


def test_the_output_beside_a_pullback_is_compared_with_the_primal() -> None:
    def f(x: Array) -> Any:
        return np.sin(x), lambda v: v * np.cos(x)

    assert check_gradients.vjp(f, X, primal=np.sin).verdict == "ok"
    report = check_gradients.vjp(f, X, primal=lambda x: np.sin(x) + (x > 0.5))
    assert not report.passed
    assert codes(report)[0] == "primal"
    assert "out[" in str(report)
    with pytest.raises(
        GradientError, match=r"of f where it is differentiated and its output\s+alone differ"
    ):
        gradcheck.vjp(f, X, primal=lambda x: np.sin(x) + 0.1)


def test_slopes_are_those_of_the_primal() -> None:
    report = check_gradients.vjp(lambda x: (np.sin(x), lambda v: v), X, primal=np.sin)
    assert wrong(report) == ["x"]


@pytest.mark.parametrize("index", [0, 3, 5])
def test_which_output_is_wrong_is_reported(index: int) -> None:
    def f(x: Array) -> Any:
        def pull(v: Array) -> Array:
            v = v.copy()
            v[index] *= 1.5
            return np.asarray(np.cos(x) * v)

        return np.sin(x), pull

    report = check_gradients.vjp(f, np.linspace(-1.0, 1.0, 6))
    (finding,) = [finding for finding in report.findings if finding.code == "output"]
    assert f"what out[{index}] adds is wrong" in finding.message


def test_which_of_several_output_arrays_is_wrong_is_reported() -> None:
    def f(x: Array) -> Any:
        out = {"mean": x.mean(axis=0), "large": 1e3 * x}
        return out, lambda v: np.broadcast_to(v["mean"], x.shape) + 1e3 * v["large"]

    report = check_gradients.vjp(f, X)
    (finding,) = [finding for finding in report.findings if finding.code == "output"]
    assert "what out.mean" in finding.message


def test_no_output_is_blamed_where_all_are_wrong() -> None:
    report = check_gradients.vjp(lambda x: (np.sin(x), lambda v: 2 * v * np.cos(x)), X)
    assert not [finding for finding in report.findings if finding.code == "output"]


def test_outputs_that_are_differences_of_inputs_do_not_stand_still() -> None:
    """Each is the difference of two inputs, and the backward pass gives half as much too much."""
    i, j = np.triu_indices(6, 1)

    def f(x: Array) -> Any:
        def pull(v: Array) -> Array:
            gradient = np.zeros(6)
            np.add.at(gradient, i, 1.5 * v)
            np.add.at(gradient, j, -0.5 * v)
            return gradient

        return x[i] - x[j], pull

    report = check_gradients.vjp(f, np.array([1.0, -1.0, 1.0, 1.0, -1.0, 1.0]))
    assert not report.passed
    assert {finding.code for finding in report.findings}.isdisjoint({"output", "mask"})


STILL = np.random.default_rng(3).random((4, 5)) > 0.5
MASKS: dict[str, tuple[Callable[[Array], Any], Callable[[Array], Any]]] = {
    "a ReLU": (lambda z: np.maximum(z, 0), lambda z: z > 0),
    "a clip": (lambda z: np.clip(z, -1.5, 1.5), lambda z: np.abs(z) < 1.5),
    "dropout": (lambda z: z * STILL / 0.5, lambda z: STILL / 0.5),
    "a sine in a range": (
        lambda z: np.where(z > 0, np.sin(z), 1.0),
        lambda z: np.where(z > 0, np.cos(z), 0.0),
    ),
}


def bent(name: str, slope: Callable[[Array], Any]) -> Report:
    """Check a dense layer that a function bends, with another slope in its backward pass."""
    rng = np.random.default_rng(11)
    x, w, b = rng.normal(size=(4, 3)), rng.normal(size=(3, 5)), rng.normal(size=5)

    def forward(x: Array, w: Array, b: Array) -> tuple[Array, tuple[Array, ...]]:
        return MASKS[name][0](x @ w + b), (x, w, b)

    def backward(dout: Array, cache: tuple[Array, ...]) -> tuple[Array, ...]:
        x, w, b = cache
        dz = dout * slope(x @ w + b)
        return dz @ w.T, x.T @ dz, dz.sum(axis=0)

    return check_gradients.layer(forward, backward, x, w, b)


@pytest.mark.parametrize("name", MASKS)
def test_a_missing_mask_is_recognized_by_the_outputs_that_stand_still(name: str) -> None:
    right = MASKS[name][1]
    assert bent(name, right).verdict == "ok"
    report = bent(name, lambda z: np.where(right(z) == 0, 1.0, right(z)))
    assert codes(report)[0] == "mask"
    assert report.findings[0].parameters == ("x", "w", "b")
    assert str(report).startswith("a mask is missing")
    assert "partial" not in codes(report)


@pytest.mark.parametrize("name", MASKS)
def test_another_slope_of_outputs_that_move_is_no_missing_mask(name: str) -> None:
    right = MASKS[name][1]
    uneven = np.array([1.0, 1.3, 1.0, 0.7, 1.0])
    report = bent(name, lambda z: right(z) * uneven)
    assert not report.passed
    assert "mask" not in codes(report)
    both = bent(name, lambda z: np.where(right(z) == 0, 1.0, right(z)) * uneven)
    assert "a mask is missing" not in str(both)


def test_names_of_arguments_may_tell_nothing_of_the_order_of_a_backward_pass() -> None:
    """Where neither name tells, the order is tried: one of them raises."""
    calls: list[str] = []

    def forward(x: Array, w: Array) -> Any:
        return x @ w, {"x": x, "w": w}

    def in_order_of_jax(a: Any, b: Any) -> Any:
        calls.append(type(a).__name__)
        return b @ a["w"].T, a["x"].T @ b

    x, w = np.ones((2, 3)), np.arange(6.0).reshape(3, 2)
    assert check_gradients.layer(forward, in_order_of_jax, x, w).verdict == "ok"
    assert calls[:2] == ["ndarray", "dict"]
    assert set(calls[1:]) == {"dict"}

    def other_order(a: Any, b: Any) -> Any:
        return in_order_of_jax(b, a)

    assert check_gradients.layer(forward, other_order, x, w).verdict == "ok"

    def neither(a: Any, b: Any) -> Any:
        raise KeyError("gone")

    with pytest.raises(ProblemError, match="neither raised KeyError"):
        check_gradients.layer(forward, neither, x, w)


@pytest.mark.parametrize("at", [1, 2])
def test_a_skip_in_a_backward_pass_of_either_order_passes_through(at: int) -> None:
    calls: list[int] = []

    def skipping(a: Any, b: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            pytest.skip("not today")
        raise KeyError("gone")

    with pytest.raises(pytest.skip.Exception, match="not today"):
        check_gradients.layer(lambda x: (2 * x, "cache"), skipping, np.ones(3))


@pytest.mark.parametrize("returned", [("out", "beside"), "out"])
def test_a_function_that_returns_no_pullback_is_refused(returned: Any) -> None:
    with pytest.raises(ProblemError, match=r"is to return \(out, pullback\), but it returned") as e:
        check_gradients.vjp(lambda x: returned, np.ones(2))
    assert e.value.code == "missing-gradient"


def test_class_methods_go_by_the_name_of_their_class() -> None:
    class Layer:
        @classmethod
        def forward(cls, x: Array) -> Any:
            return x**2, x

        @classmethod
        def backward(cls, dout: Array, x: Array) -> Array:
            raise KeyError("gone")

    assert name_of(Layer.forward) == "Layer.forward"
    with pytest.raises(ProblemError, match=r"Layer\.backward raised KeyError"):
        check_gradients.layer(Layer.forward, Layer.backward, np.ones(2))


def test_a_fault_in_every_other_output_is_left_to_the_verdict() -> None:
    """The terms of outputs are told apart by bisection, which may cost no more than the check."""

    def forward(x: Array) -> Any:
        return np.sin(x), x

    def backward(dout: Array, x: Array) -> Array:
        return dout * np.cos(x) * np.where(np.arange(x.size) % 2, 1.0, 3.0)

    report = check_gradients.layer(forward, backward, np.linspace(0.1, 1.2, 200))
    assert report.verdict == "bug"
    assert "output" not in [finding.code for finding in report.findings]
    few = check_gradients.layer(forward, backward, np.linspace(0.1, 1.2, 4))
    assert "output" in [finding.code for finding in few.findings]


def test_a_layer_with_one_output_has_none_to_tell_apart() -> None:
    report = check_gradients.layer(
        lambda x: (float(x @ x), x), lambda dout, x: 3 * dout * x, np.array([0.5, 2.0, 1.0])
    )
    assert report.verdict == "bug"
    assert "output" not in [finding.code for finding in report.findings]


def test_functions_without_a_signature_are_called_as_they_are() -> None:
    """Python's own `math.log` tells no signature, for it may take a base."""
    assert check_gradients(math.log, lambda x: 1 / x, 2.0).verdict == "ok"
    assert check_gradients(math.log, lambda x: 2 / x, 2.0).verdict == "bug"
    report = check_gradients.layer(max, lambda dout, *inputs: (dout, 0.0), 2.0, 1.0)
    assert [p.name for p in report.parameters] == ["inputs[0]", "inputs[1]"]
    assert report.verdict == "ok"
    along = check_gradients.jvp(math.log, lambda x, dx: dx / x, 2.0, data={"unused": 1})
    assert along.verdict == "ok"


def test_no_mask_is_missing_where_all_outputs_are_at_their_minimum() -> None:
    """None of them moves, and an error that no cause explains lets something through at each."""
    away = np.random.default_rng(3).normal(size=5)

    def backward(dout: Array, x: Array) -> Array:
        return dout * away * np.cos(x + away)

    report = check_gradients.layer(lambda x: (x**2, x), backward, np.zeros(5))
    assert report.verdict == "bug"
    assert "mask" not in codes(report)


def test_outputs_are_weighed_by_how_they_move_along_three_directions() -> None:
    """An output that moves by a thousandth of another weighs a thousand times as much."""
    seen = []

    def weights(part: float) -> Array:
        def forward(x: Array) -> Array:
            seen.append(x.tobytes())
            return np.array([x.sum(), part * x.sum()])

        upstream, x = Upstream("f"), np.ones(4)
        upstream.weigh(forward(x), forward, x)
        return upstream.values

    small, equal = weights(1e-3), weights(1.0)
    assert len(seen) == 2 * (1 + 3)
    assert len(set(seen)) == 1 + 3
    assert small[1] / small[0] == pytest.approx(1e3 * equal[1] / equal[0])


def test_the_entry_in_which_two_outputs_differ_most_is_named() -> None:
    upstream = Upstream("f")
    upstream.compare(np.array([5.0, 1.0, 3.0]), np.array([5.0, 1.5, 3.1]))
    [(code, message)] = upstream.faults
    assert code == "primal"
    assert message.endswith("its output alone differ: out[1] is 1 and 1.5")


def test_every_output_of_a_layer_that_works_number_by_number_moves_with_its_inputs() -> None:
    outputs: Any = SimpleNamespace(
        output=lambda inputs: inputs["x"] ** 2, upstream=SimpleNamespace(values=np.ones(40))
    )
    parts = _Parts(outputs, {"x": np.linspace(1.0, 2.0, 40)})
    assert np.all(np.abs(parts._slopes) > 1.0)


def test_a_missing_mask_is_recognized_by_one_output_of_two() -> None:
    report = check_gradients.layer(
        lambda x: np.maximum(x, 0.0), lambda dout: dout, np.array([-1.0, 2.0])
    )
    assert "mask" in codes(report)


def test_another_fault_does_not_keep_outputs_from_being_compared() -> None:
    upstream = Upstream("f")
    upstream.faults.append(("shape", "another fault"))
    for _ in range(2):
        upstream.compare(np.ones(2), np.zeros(2))
    assert [code for code, _ in upstream.faults] == ["shape", "primal"]
