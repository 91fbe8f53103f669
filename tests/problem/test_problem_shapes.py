"""The shapes of a pair: whatever a user has is called the way they say it."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Problem, ProblemError, Report, check_gradients, gradcheck

Array = npt.NDArray[np.float64]

X = np.array([[0.3, -1.2, 0.8, 0.1], [1.1, 0.4, -0.7, 2.0], [0.2, 0.9, 0.6, -0.5]])
Y = np.array([[1.0, 0.0, 1.0, 0.0]])


def initial() -> dict[str, Any]:
    return {"W": np.array([[0.5, -0.25, 0.125]]), "b": 0.75}


def cost(params: dict[str, Any], X: Array, Y: Array) -> float:
    return float(np.sum((params["W"] @ X + params["b"] - Y) ** 2) / 8)


def grad(params: dict[str, Any], X: Array, Y: Array) -> dict[str, Any]:
    d = (params["W"] @ X + params["b"] - Y) / 4
    return {"dW": d @ X.T, "db": d.sum()}


def wrong(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "dW": answer["dW"] * 1.01}


# The course's assignment, its functions as they are handed out


def forward_propagation_n(X: Array, Y: Array, parameters: dict[str, Array]) -> tuple[float, Any]:
    m = X.shape[1]
    W1, b1 = parameters["W1"], parameters["b1"]
    W2, b2 = parameters["W2"], parameters["b2"]
    Z1 = np.dot(W1, X) + b1
    A1 = np.maximum(0, Z1)
    Z2 = np.dot(W2, A1) + b2
    A2 = 1 / (1 + np.exp(-Z2))
    logprobs = np.multiply(-np.log(A2), Y) + np.multiply(-np.log(1 - A2), 1 - Y)
    value = 1.0 / m * np.sum(logprobs)
    return value, (Z1, A1, W1, b1, Z2, A2, W2, b2)


def backward_propagation_n(X: Array, Y: Array, cache: Any) -> dict[str, Array]:
    m = X.shape[1]
    (Z1, A1, W1, b1, Z2, A2, W2, b2) = cache  # noqa: RUF059 - as the course writes it
    dZ2 = A2 - Y
    dW2 = 1.0 / m * np.dot(dZ2, A1.T)
    db2 = 1.0 / m * np.sum(dZ2, axis=1, keepdims=True)
    dA1 = np.dot(W2.T, dZ2)
    dZ1 = np.multiply(dA1, np.int64(A1 > 0))
    dW1 = 1.0 / m * np.dot(dZ1, X.T)
    db1 = 1.0 / m * np.sum(dZ1, axis=1, keepdims=True)
    return {"dZ2": dZ2, "dW2": dW2, "db2": db2, "dA1": dA1, "dZ1": dZ1, "dW1": dW1, "db1": db1}


def course_parameters() -> dict[str, Array]:
    rng = np.random.default_rng(1)
    shapes = {"W1": (4, 3), "b1": (4, 1), "W2": (1, 4), "b2": (1, 1)}
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def course_faulty(X: Array, Y: Array, cache: Any) -> dict[str, Array]:
    answer = backward_propagation_n(X, Y, cache)
    return {**answer, "dW2": answer["dW2"] * 2, "db1": answer["db1"] * 4}


# A network that owns its arrays


class Net:
    """Holds its parameters; its methods look at those and at nothing else."""

    def __init__(self) -> None:
        self.params = initial()
        self.calls: list[str] = []

    def loss(self, x: Array, t: Array, train_flg: bool = False) -> float:
        self.calls.append("loss")
        assert train_flg is False
        return cost(self.params, x, t)

    def gradient(self, x: Array, t: Array) -> dict[str, Any]:
        return grad(self.params, x, t)


def own(change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, tuple[Any, Any, Any]]:
    """Return ways to check a network that owns its arrays: cost, gradient, further arguments."""
    net = Net()
    return {
        "closures that ignore their argument": (
            lambda W: net.loss(X, Y),
            lambda W: change(net.gradient(X, Y)),
            ((), None, net),
        ),
        "closures that take no argument": (
            lambda: net.loss(X, Y),
            lambda: change(net.gradient(X, Y)),
            ((), None, net),
        ),
        "methods with further arguments": (
            net.loss,
            lambda x, t: change(net.gradient(x, t)),
            ((X, Y), None, net),
        ),
        "methods with data by name": (
            net.loss,
            lambda x, t: change(net.gradient(x, t)),
            ((), {"x": X, "t": Y}, net),
        ),
        "functions of the params and further arguments": (
            lambda params, x: net.loss(x, Y),
            lambda params, x: change(net.gradient(x, Y)),
            ((X,), None, net),
        ),
    }


def same(answer: dict[str, Any]) -> dict[str, Any]:
    return answer


def joint(change: Callable[[dict[str, Any]], dict[str, Any]], *rest: Any) -> Callable[..., Any]:
    def loss(params: dict[str, Any]) -> Any:
        return (cost(params, X, Y), change(grad(params, X, Y)), *rest)

    return loss


def shapes(change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Callable[[], Report]]:
    """Return a check for every row of the table, with `change` applied to the gradient."""

    def here(params: dict[str, Any]) -> float:
        return cost(params, X, Y)

    def with_options(params: Any, X: Array, Y: Array, *, lambd: float, keep_prob: float) -> float:
        assert keep_prob == 1.0
        return cost(params, X, Y) + lambd * float(np.sum(params["W"] ** 2))

    def grad_options(params: Any, X: Array, Y: Array, lambd: float) -> dict[str, Any]:
        answer = grad(params, X, Y)
        return change({**answer, "dW": answer["dW"] + 2 * lambd * params["W"]})

    def changed(params: Any, X: Array, Y: Array) -> dict[str, Any]:
        return change(grad(params, X, Y))

    options = {"X": X, "Y": Y, "lambd": 0.7, "keep_prob": 0.8}
    table: dict[str, Callable[[], Report]] = {
        "cost and grad of the params": lambda: check_gradients(
            here, lambda p: change(grad(p, X, Y)), initial()
        ),
        "further positional arguments": lambda: check_gradients(cost, changed, initial(), X, Y),
        "data by name": lambda: check_gradients(
            with_options, grad_options, initial(), data=options
        ),
        "grad=True": lambda: check_gradients(joint(change), True, initial()),
        "grad=True and more returned": lambda: check_gradients(
            joint(change, "logits", 3), True, initial()
        ),
        "grad=True and a list returned": lambda: check_gradients(
            lambda p: list(joint(change)(p)), True, initial()
        ),
        "grad=True and further arguments": lambda: check_gradients(
            lambda p, X, Y: (cost(p, X, Y), changed(p, X, Y)), True, initial(), X, Y
        ),
        "grad=True and data by name": lambda: check_gradients(
            lambda Y, X, p: (cost(p, X, Y), changed(p, X, Y)),
            True,
            initial(),
            data={"X": X, "Y": Y},
        ),
    }
    for name, (f, g, (args, data, net)) in own(change).items():
        table[f"inplace: {name}"] = functools.partial(
            check_gradients, f, g, net.params, *args, data=data, inplace=True
        )
    return table


@pytest.mark.parametrize("name", shapes(same))
def test_a_right_pair_of_any_shape_passes(name: str) -> None:
    report = shapes(same)[name]()
    assert report.verdict == "ok"
    assert {p.name: p.checked for p in report.parameters} == {"W": 3, "b": 1}


@pytest.mark.parametrize("name", shapes(wrong))
def test_a_wrong_pair_of_any_shape_fails_at_the_wrong_parameter(name: str) -> None:
    report = shapes(wrong)[name]()
    assert not report.passed
    assert {c.parameter for c in report.components if c.verdict == "bug"} == {"W"}


def test_the_courses_functions_are_checked_unchanged() -> None:
    report = gradcheck(
        forward_propagation_n, backward_propagation_n, course_parameters(), data={"X": X, "Y": Y}
    )
    assert report.verdict == "ok"
    assert [p.name for p in report.parameters] == ["W1", "b1", "W2", "b2"]


def test_the_faults_that_the_course_plants_are_found() -> None:
    report = check_gradients(
        forward_propagation_n, course_faulty, course_parameters(), data={"X": X, "Y": Y}
    )
    verdicts = {p.name: p.verdict for p in report.parameters}
    assert verdicts == {"W1": "ok", "b1": "bug", "W2": "bug", "b2": "ok"}


def test_a_cache_of_several_items_arrives_as_a_tuple() -> None:
    def forward(w: Array) -> tuple[float, str, Array]:
        return float(w @ w), "note", w

    def backward(cache: tuple[str, Array]) -> Array:
        note, w = cache
        assert note == "note"
        return 2 * w

    assert check_gradients(forward, backward, np.ones(3), data={}).passed


def test_a_gradient_may_take_the_params_and_the_cache() -> None:
    def backward(cache: Array, parameters: Array, X: Array) -> Array:
        np.testing.assert_array_equal(cache, parameters)
        return X

    assert check_gradients(
        lambda parameters, X: (float(parameters @ X), parameters.copy()),
        backward,
        np.ones(3),
        data={"X": np.arange(3.0)},
    ).passed


def test_a_cache_in_data_is_the_users_own() -> None:
    assert check_gradients(
        lambda w: float(w @ w), lambda w, cache: cache * w, np.ones(3), data={"cache": 2.0}
    ).passed


def layer_forward(x: Array, w: Array, b: Array) -> tuple[Array, Any]:
    return x @ w + b, (x, w)


def layer_backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)


LAYER = (np.arange(6.0).reshape(3, 2) / 5, np.arange(8.0).reshape(2, 4) / 7, np.ones(4))


def test_a_layer_is_checked_under_the_names_of_its_arguments() -> None:
    report = gradcheck.layer(layer_forward, layer_backward, *LAYER)
    assert report.verdict == "ok"
    assert [(p.name, p.shape) for p in report.parameters] == [
        ("x", (3, 2)),
        ("w", (2, 4)),
        ("b", (4,)),
    ]


LAYERS: dict[str, tuple[Any, Any, tuple[Any, ...]]] = {
    "a gradient by name": (
        layer_forward,
        lambda dout, cache: dict(zip(("dx", "dw", "db"), layer_backward(dout, cache), strict=True)),
        LAYER,
    ),
    "the cache first": (layer_forward, lambda cache, dout: layer_backward(dout, cache), LAYER),
    "no cache": (lambda x, w: x @ w, lambda dout, x, w: (dout @ w.T, x.T @ dout), LAYER[:2]),
    "several inputs by position": (
        lambda *xs: (xs[0] * xs[1], xs),
        lambda dout, xs: [dout * xs[1], dout * xs[0]],
        (np.arange(3.0), np.ones(3)),
    ),
    "one input": (lambda x: (np.tanh(x), x), lambda d, x: d / np.cosh(x) ** 2, (np.ones(3),)),
    "an output of two arrays": (
        lambda x: ((np.sin(x), np.cos(x)), x),
        lambda d, x: d[0] * np.cos(x) - d[1] * np.sin(x),
        (np.arange(3.0),),
    ),
    "an output of one number": (
        lambda x: (float(x @ x), x),
        lambda d, x: d * 2 * x,
        (np.arange(1.0, 4.0),),
    ),
    "an integer input": (
        lambda x, stride: (x[::stride], (x, stride)),
        lambda d, cache: (np.array([d[0], 0.0, d[1]]), None),
        (np.arange(3.0), 2),
    ),
    "a float32 output": (
        lambda x: (np.float32(2) * x.astype(np.float32), None),
        lambda d, _: 2 * d,
        (np.ones(3),),
    ),
}


@pytest.mark.parametrize(("forward", "backward", "inputs"), LAYERS.values(), ids=LAYERS.keys())
def test_a_right_layer_of_any_shape_passes(forward: Any, backward: Any, inputs: Any) -> None:
    assert check_gradients.layer(forward, backward, *inputs).passed


def test_a_wrong_layer_fails_at_the_wrong_input() -> None:
    def backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        dx, dw, db = layer_backward(dout, cache)
        return dx, dw, db * 1.01

    report = check_gradients.layer(layer_forward, backward, *LAYER)
    assert {c.parameter for c in report.components} == {"b"}


def test_a_layer_is_asked_with_no_two_upstream_gradients_alike() -> None:
    """A constant one would hide a normalizing layer's faults: its gradient is then zero."""
    seen: list[Array] = []

    def backward(dout: Array, cache: Any) -> tuple[Array, Array, Array]:
        seen.append(dout.copy())
        return layer_backward(dout, cache)

    gradcheck.layer(layer_forward, backward, *LAYER)
    assert len(np.unique(seen[0])) == seen[0].size
    factors = [one.flat[0] / seen[0].flat[0] for one in seen]
    assert set(factors) == {1.0, 2.0}  # whether it is linear is asked, once
    for one, factor in zip(seen, factors, strict=True):
        np.testing.assert_array_equal(one, factor * seen[0])


def test_a_layers_settings_are_keywords() -> None:
    report = check_gradients.layer(layer_forward, layer_backward, *LAYER, only="w", eps=1e-5)
    assert [p.name for p in report.parameters] == ["w"]
    assert report.settings.eps == 1e-5


def test_a_pullback_is_checked() -> None:
    def f(x: Array, w: Array) -> tuple[Array, Callable[[Array], tuple[Array, Array]]]:
        return np.tanh(x @ w), lambda d: (
            (d / np.cosh(x @ w) ** 2) @ w.T,
            x.T @ (d / np.cosh(x @ w) ** 2),
        )

    report = gradcheck.vjp(f, *LAYER[:2])
    assert [p.name for p in report.parameters] == ["x", "w"]


def test_a_wrong_pullback_fails() -> None:
    assert not check_gradients.vjp(lambda x: (x**2, lambda d: d * x), np.ones(3)).passed


def test_problems_are_made_of_layers_and_pullbacks() -> None:
    problems = [
        Problem.layer(layer_forward, layer_backward, *LAYER, only="w"),
        Problem.vjp(lambda x: (x**2, lambda d: 2 * d * x), np.ones(3)),
    ]
    for problem in problems:
        report = check_gradients(
            problem.cost,
            problem.grad,
            problem.params,
            *problem.args,
            data=problem.data,
            **problem.settings,
        )
        assert report.passed


def test_a_problem_has_its_contracts_defaults() -> None:
    problem = Problem(cost, grad, {})
    assert (problem.args, problem.data, dict(problem.settings)) == ((), None, {})


# Functions of every kind


class Callable2:
    """Not a function, but called like one."""

    def __call__(self, params: Array, X: Array) -> float:
        return float(np.sum(params * X))

    def method(self, params: Array, X: Array) -> Array:
        return X

    @staticmethod
    def static(params: Array, X: Array) -> Array:
        return X

    @classmethod
    def of_class(cls, params: Array, X: Array) -> Array:
        return X


def positional_only(params: Array, X: Array, /) -> float:
    return float(np.sum(params * X))


def data_first(X: Array, params: Array, scale: float = 1.0, shift: float = 0.0, /) -> float:
    return float(np.sum(params * X) + 0 * scale + shift * params.sum())


def keyword_only(params: Array, *, X: Array) -> float:
    return float(np.sum(params * X))


def everything(params: Array, **data: Any) -> float:
    return float(np.sum(params * data["X"]))


def params_by_default(X: Array, params: Array | None = None) -> float:
    assert params is not None
    return float(np.sum(params * X))


def with_default(params: Array, X: Array, scale: float = 1.0) -> float:
    return scale * float(np.sum(params * X))


@functools.wraps(positional_only)
def wrapped(*args: Any) -> float:
    return positional_only(*args)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "a callable object": Callable2(),
    "a partial": functools.partial(with_default, scale=1.0),
    "a lambda": lambda X, anything: float(np.sum(anything * X)),
    "positional-only arguments": positional_only,
    "positional-only arguments, the params second": data_first,
    "a keyword-only argument": keyword_only,
    "**kwargs": everything,
    "params with a default": params_by_default,
    "an argument with a default": with_default,
    "a wrapper": wrapped,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_a_function_of_any_kind_takes_data_by_name(function: Callable[..., Any]) -> None:
    data = {"X": np.arange(1.0, 4.0), "of no use": 3}
    assert check_gradients(function, lambda params, X: X, np.ones(3), data=data).passed


def test_positional_only_defaults_before_a_given_one_are_kept() -> None:
    report = check_gradients(
        data_first, lambda params, X: X + 2.0, np.ones(3), data={"X": np.ones(3), "shift": 2.0}
    )
    assert report.passed


@pytest.mark.parametrize(
    "grad",
    [Callable2().method, Callable2.static, Callable2.of_class, functools.partial(with_default)],
    ids=["a bound method", "a static method", "a class method", "a partial"],
)
def test_a_gradient_of_any_kind_is_called(grad: Callable[..., Any]) -> None:
    x = np.array(2.0) if isinstance(grad, functools.partial) else np.arange(1.0, 4.0)
    cost = (lambda w, X: w**2 * X / 2) if isinstance(grad, functools.partial) else Callable2()
    assert check_gradients(cost, grad, np.ones(x.shape), x).passed


@pytest.mark.parametrize(
    ("cost", "grad", "params"),
    [
        (np.sum, np.ones_like, np.zeros((2, 2))),
        (math.sin, math.cos, 0.5),
        (np.sin, np.cos, 0.5),
        (abs, np.sign, -2.0),
    ],
    ids=["NumPy functions", "functions of math", "ufuncs", "a builtin"],
)
def test_functions_without_a_readable_signature_are_called_positionally(
    cost: Any, grad: Any, params: Any
) -> None:
    assert check_gradients(cost, grad, params).passed


def test_empty_data_calls_by_name() -> None:
    assert check_gradients(lambda w: float(w @ w), lambda w: 2 * w, np.ones(2), data={}).passed


COSTS: dict[str, Callable[[float], Any]] = {
    "a float": float,
    "a NumPy scalar": np.float64,
    "a 0-d array": np.array,
    "an array of one": lambda v: np.array([[v]]),
    "a list of one": lambda v: [v],
    "a tuple that begins with it": lambda v: (v, "cache"),
    "a tuple of one": lambda v: (v,),
    "a tuple that begins with a 0-d array": lambda v: (np.array(v), None, None),
    "a matrix of one": lambda v: np.array([[v]]).view(np.matrix),
    "a long double": np.longdouble,
}


@pytest.mark.parametrize("returned", COSTS.values(), ids=COSTS.keys())
def test_a_cost_is_one_number_in_any_form(returned: Callable[[float], Any]) -> None:
    report = check_gradients(lambda w: returned(float(w @ w)), lambda w: 2 * w, np.arange(1.0, 4.0))
    assert report.passed


def test_a_cost_that_returns_whole_numbers_is_a_number_too() -> None:
    report = check_gradients(lambda w: 3, lambda w: 0 * w, np.ones(2))
    assert (report.passed, report.verdict) == (True, "ok")


# What nothing fills


def cost_of_two(params: Any, other: Any) -> float:
    return 0.0


UNBOUND: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "an argument too many": (
        cost_of_two,
        np.ones_like,
        {},
        "argument other of the cost cost_of_two",
    ),
    "two by name": (cost_of_two, lambda p: p, {"data": {"X": 1}}, "cost_of_two .*params, other"),
    "of the gradient": (np.sum, cost_of_two, {}, "argument other of the gradient cost_of_two"),
    "a keyword-only argument": (
        keyword_only,
        np.ones_like,
        {},
        "argument X of the cost keyword_only",
    ),
    "none left for the params": (
        cost_of_two,
        lambda p: p,
        {"data": {"params": 1, "other": 2}},
        "no argument of the cost cost_of_two is left to take the params.*inplace=True",
    ),
    "no argument at all": (lambda: 0.0, lambda p: p, {}, "takes no argument.*inplace=True"),
    "nothing beside the cost for a cache": (
        lambda p: 0.0,
        lambda cache: cache,
        {"data": {}},
        r"nothing beside its value.*\(cost, cache\)",
    ),
    "a builtin and data": (max, math.cos, {"data": {"p": 1}}, "max has no signature"),
    "a cost that is no function": (3.0, np.ones_like, {}, "functions"),
    "a gradient that is no function": (np.sum, False, {}, "functions.*True"),
}


@pytest.mark.parametrize(("cost", "grad", "how", "message"), UNBOUND.values(), ids=UNBOUND.keys())
def test_an_argument_that_nothing_fills_is_named(
    cost: Any, grad: Any, how: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProblemError, match=message) as error:
        check_gradients(cost, grad, np.ones(2), **how)
    assert error.value.code == "unbound-argument"


def test_args_and_data_together_are_refused() -> None:
    with pytest.raises(ProblemError, match="not both") as error:
        check_gradients(cost, grad, initial(), X, data={"Y": Y})
    assert error.value.code == "bad-setting"


def test_data_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(ProblemError, match="data maps the names of arguments") as error:
        check_gradients(cost, grad, initial(), data=(X, Y))  # type: ignore[arg-type]
    assert error.value.code == "bad-setting"


def test_a_function_with_a_curious_name_is_called_by_it() -> None:
    def odd(w: Array) -> float:
        raise KeyError("W7")

    odd.__qualname__ = "<odd> {name} %s"
    with pytest.raises(ProblemError, match=r"<odd> \{name\} %s raised KeyError: 'W7'"):
        check_gradients(odd, lambda w: w, np.ones(2))


def test_a_partial_is_called_by_the_name_of_its_function() -> None:
    def refusing(w: Array, scale: float) -> float:
        raise KeyError(scale)

    with pytest.raises(ProblemError, match=r"refusing raised KeyError"):
        check_gradients(functools.partial(refusing, scale=2.0), lambda w: w, np.ones(2))


def test_params_may_be_a_namespace_that_the_functions_know() -> None:
    report = check_gradients(
        lambda net: float(net.w @ net.w),
        lambda net: SimpleNamespace(w=2 * net.w),
        SimpleNamespace(w=np.ones(2), name="net"),
    )
    assert report.passed
