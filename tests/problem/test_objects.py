"""Layer objects and networks: arrays in attributes, gradients by their usual names."""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Problem, ProblemError, Report, check_gradients

Array: TypeAlias = npt.NDArray[Any]

rng = np.random.default_rng(4)
X, Y = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))


def wrong(report: Report) -> list[str]:
    return sorted({c.parameter for c in report.components if c.verdict == "bug"})


def checked(report: Report) -> list[str]:
    return sorted(p.name for p in report.parameters)


class Dense:
    """A layer as people write it, with its gradients where `keep` puts them."""

    def __init__(self, keep: str = "dW", fault: float = 1.0, shape: Any = (4, 3)) -> None:
        draw = np.random.default_rng(len(keep) + sum(shape))
        self.W, self.b = draw.normal(size=shape), draw.normal(size=shape[1])
        self.name, self.rate, self._keep, self._fault = "dense", 0.1, keep, fault
        self.x: Any = None
        self.grads: dict[str, Any] = {}

    def forward(self, x: Array) -> Array:
        self.x = x
        return np.asarray(x @ self.W + self.b)

    def backward(self, dout: Array) -> Array:
        dW, db = self._fault * self.x.T @ dout, dout.sum(axis=0)
        if self._keep.startswith("grads"):
            key = self._keep.partition(".")[2]
            self.grads[key.replace("*", "W")], self.grads[key.replace("*", "b")] = dW, db
        else:
            setattr(self, self._keep.replace("*", "W"), dW)
            setattr(self, self._keep.replace("*", "b"), db)
        return np.asarray(dout @ self.W.T)


KEEPS = ["d*", "grad_*", "*_grad", "grads.*", "grads.d*"]


@pytest.mark.parametrize("keep", KEEPS)
def test_a_layers_arrays_are_found_by_their_gradients(keep: str) -> None:
    report = check_gradients.layer(Dense(keep), X)
    assert report.verdict == "ok"
    assert checked(report) == ["W", "b", "x"]


@pytest.mark.parametrize("keep", KEEPS)
def test_a_fault_in_an_array_of_a_layer_is_named(keep: str) -> None:
    assert wrong(check_gradients.layer(Dense(keep, fault=1.5), X)) == ["W"]


def test_a_layer_comes_back_as_it_was() -> None:
    layer = Dense()
    before = copy.deepcopy(vars(layer))
    arrays = layer.W, layer.b
    check_gradients.layer(layer, X)
    assert vars(layer).keys() == before.keys()
    assert layer.W is arrays[0]
    assert layer.b is arrays[1]
    assert layer.W.tobytes() == before["W"].tobytes()
    assert layer.x is None
    assert layer.grads == {}


def test_a_layer_comes_back_as_it_was_from_an_error() -> None:
    class Broken(Dense):
        calls = 0

        def forward(self, x: Array) -> Array:
            type(self).calls += 1
            if self.calls > 9:
                raise KeyboardInterrupt
            return super().forward(x)

    layer = Broken()
    before = layer.W.tobytes()
    with pytest.raises(KeyboardInterrupt):
        check_gradients.layer(layer, X)
    assert layer.W.tobytes() == before
    assert layer.x is None


def test_both_passes_of_a_layer_apart_check_its_inputs_alone() -> None:
    layer = Dense()
    report = check_gradients.layer(layer.forward, layer.backward, X)
    assert report.verdict == "ok"
    assert checked(report) == ["x"]


class Sequence:
    """Layers in a list, and a method that sets their gradients to zero, as they add to them."""

    def __init__(self, *layers: Any) -> None:
        self.layers = list(layers)

    def __call__(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dout: Array) -> Any:
        for layer in reversed(self.layers):
            dout = layer.backward(dout)
        return dout

    def zero_grad(self) -> None:
        for layer in self.layers:
            layer.dW, layer.db = 0.0, 0.0


class Adding(Dense):
    dW: Any = 0.0
    db: Any = 0.0

    def backward(self, dout: Array) -> Array:
        self.dW = self.dW + self._fault * self.x.T @ dout
        self.db = self.db + dout.sum(axis=0)
        return np.asarray(dout @ self.W.T)


class Tanh:
    def forward(self, x: Array) -> Array:
        self.out = np.tanh(x)
        return self.out

    def backward(self, dout: Array) -> Array:
        return np.asarray(dout * (1 - self.out**2))


def sequence(fault: float = 1.0) -> Sequence:
    return Sequence(Adding(shape=(4, 3)), Tanh(), Adding(shape=(3, 2), fault=fault))


def test_a_sequence_of_layers_is_a_layer_whose_gradients_are_zeroed() -> None:
    report = check_gradients.layer(sequence(), X)
    assert report.verdict == "ok"
    assert checked(report) == ["layers[0].W", "layers[0].b", "layers[2].W", "layers[2].b", "x"]
    assert wrong(check_gradients.layer(sequence(fault=0.9), X)) == ["layers[2].W"]


def test_a_layer_of_several_inputs_names_them() -> None:
    class Product:
        def forward(self, left: Array, right: Array) -> Array:
            self.saved = left, right
            return left * right

        def backward(self, dout: Array) -> tuple[Array, Array]:
            return dout * self.saved[1], dout * self.saved[0]

    report = check_gradients.layer(Product(), X, X + 1)
    assert report.verdict == "ok"
    assert checked(report) == ["left", "right"]


def test_a_number_in_an_attribute_is_checked_and_put_back() -> None:
    class Scale:
        gamma = 1.0

        def __init__(self) -> None:
            self.gamma, self.dgamma = 1.5, 0.0

        def forward(self, x: Array) -> Array:
            self.x = x
            return self.gamma * x

        def backward(self, dout: Array) -> Any:
            self.dgamma = float(np.sum(dout * self.x))
            return self.gamma * dout

    layer = Scale()
    report = check_gradients.layer(layer, X)
    assert report.verdict == "ok"
    assert checked(report) == ["gamma", "x"]
    assert layer.gamma == 1.5


def test_a_layer_that_changes_its_own_arrays_is_refused() -> None:
    class Stepping(Dense):
        def backward(self, dout: Array) -> Array:
            dx = super().backward(dout)
            self.W -= 0.1 * self.dW  # type: ignore[attr-defined]
            return dx

    layer = Stepping("d*")
    before = layer.W.tobytes()
    with pytest.raises(ProblemError) as caught:
        check_gradients.layer(layer, X)
    assert caught.value.code == "mutated-params"
    assert layer.W.tobytes() == before


def test_running_averages_are_no_parameters_and_come_back() -> None:
    class Norm:
        def __init__(self) -> None:
            self.gamma, self.beta = np.full(4, 1.5), np.zeros(4)
            self.running_mean = np.zeros(4)

        def forward(self, x: Array) -> Array:
            self.running_mean += 0.1 * (x.mean(axis=0) - self.running_mean)
            self.std = x.std(axis=0)
            self.hat = (x - x.mean(axis=0)) / self.std
            return np.asarray(self.gamma * self.hat + self.beta)

        def backward(self, dout: Array) -> Array:
            self.dgamma, self.dbeta = (dout * self.hat).sum(axis=0), dout.sum(axis=0)
            d = dout * self.gamma
            return np.asarray(
                (d - d.mean(axis=0) - self.hat * (d * self.hat).mean(axis=0)) / self.std
            )

    layer = Norm()
    report = check_gradients.layer(layer, X)
    assert report.verdict == "ok"
    assert checked(report) == ["beta", "gamma", "x"]
    assert not layer.running_mean.any()


class Net:
    """A network of layer objects, whose gradient answers as `answer` says."""

    def __init__(self, answer: str = "nothing", fault: float = 1.0) -> None:
        self.net, self.answer = sequence(fault), answer
        self.history: list[float] = [0.5]

    def loss(self, x: Array, y: Array) -> float:
        self.out = self.net(x) - y
        return 0.5 * float(np.sum(self.out**2))

    def gradient(self, x: Array, y: Array) -> Any:
        self.net.zero_grad()
        self.loss(x, y)
        self.net.backward(self.out)
        first, _, last = self.net.layers
        return {
            "nothing": None,
            "a list": [first.dW, first.db, last.dW, last.db],
            "a list for each layer": [(first.dW, first.db), (last.dW, last.db)],
            "a dict of names": {
                "net.layers[0].W": first.dW,
                "net.layers[0].b": first.db,
                "net.layers[2].W": last.dW,
                "net.layers[2].b": last.db,
            },
        }[self.answer]


ANSWERS = ["nothing", "a list", "a list for each layer", "a dict of names"]
NAMES = [f"net.layers[{i}].{name}" for i in (0, 2) for name in ("W", "b")]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("by_name", [False, True])
def test_a_network_is_checked_in_place(answer: str, by_name: bool) -> None:
    net = Net(answer)
    before = [layer.W.tobytes() for layer in net.net.layers if hasattr(layer, "W")]
    data: dict[str, Any] = {"data": {"x": X, "y": Y}} if by_name else {}
    args = () if by_name else (X, Y)
    report = check_gradients(net.loss, net.gradient, net, *args, inplace=True, **data)
    assert report.verdict == "ok"
    assert checked(report) == NAMES
    assert [layer.W.tobytes() for layer in net.net.layers if hasattr(layer, "W")] == before
    assert not hasattr(net, "out")


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_fault_in_a_network_is_named_by_its_path(answer: str) -> None:
    net = Net(answer, fault=1.01)
    report = check_gradients(net.loss, net.gradient, net, X, Y, inplace=True)
    assert wrong(report) == ["net.layers[2].W"]


def test_a_list_of_layer_objects_is_checked_in_place() -> None:
    net = Net()
    report = check_gradients(net.loss, net.gradient, net.net.layers, X, Y, inplace=True)
    assert report.verdict == "ok"
    assert checked(report) == ["[0].W", "[0].b", "[2].W", "[2].b"]


def test_a_network_with_a_dict_of_params_that_its_layers_share_is_checked_once() -> None:
    class TwoLayers:
        """As in a well-known book: the layers look at the arrays of the dict."""

        def __init__(self) -> None:
            self.first, self.last = Dense("d*", shape=(4, 3)), Dense("d*", shape=(3, 2))
            self.params = {
                "W1": self.first.W,
                "b1": self.first.b,
                "W2": self.last.W,
                "b2": self.last.b,
            }
            self.layers: dict[str, Any] = {"first": self.first, "tanh": Tanh(), "last": self.last}

        def loss(self, x: Array, t: Array) -> float:
            for layer in self.layers.values():
                x = layer.forward(x)
            self.off = x - t
            return 0.5 * float(np.sum(self.off**2))

        def gradient(self, x: Array, t: Array) -> dict[str, Any]:
            self.loss(x, t)
            dout = self.off
            for layer in reversed(list(self.layers.values())):
                dout = layer.backward(dout)
            one, two = vars(self.first), vars(self.last)
            return {"W1": one["dW"], "b1": one["db"], "W2": two["dW"], "b2": two["db"]}

    net = TwoLayers()
    report = check_gradients(net.loss, net.gradient, net, X, Y, inplace=True)
    assert report.verdict == "ok"
    assert sum(p.size for p in report.parameters) == 4 * 3 + 3 + 3 * 2 + 2


def test_what_has_no_gradient_is_said_to_be_held_fixed() -> None:
    class Momentum(Net):
        def __init__(self) -> None:
            super().__init__()
            self.velocity = np.zeros(3)

    net = Momentum()
    report = check_gradients(net.loss, net.gradient, net, X, Y, inplace=True)
    (note,) = [note for note in report.notes if "held fixed" in note]
    assert "velocity" in note
    assert "layers[0].W" not in note


def test_a_network_without_any_gradient_is_reported_with_the_usual_names() -> None:
    class Bare:
        def __init__(self) -> None:
            self.w = np.ones(3)

        def loss(self) -> float:
            return float(self.w @ self.w)

        def gradient(self) -> None: ...

    net = Bare()
    with pytest.raises(ProblemError, match=r"Bare has w, .*dW, grad_W") as caught:
        check_gradients(net.loss, net.gradient, net, inplace=True)
    assert caught.value.code == "missing-gradient"


def test_a_problem_of_a_layer_object_may_be_returned_by_a_marked_test() -> None:
    problem = Problem.layer(Dense(), X)
    assert sorted(problem.params) == ["x"]


def test_a_layer_that_returns_nothing_and_keeps_all_in_attributes_is_checked() -> None:
    """As in "Neural Networks from Scratch in Python"."""

    class Kept:
        def __init__(self) -> None:
            self.weights, self.biases = (
                np.random.default_rng(2).normal(size=(4, 3)),
                np.zeros((1, 3)),
            )

        def forward(self, inputs: Array) -> None:
            self.inputs = inputs
            self.output = inputs @ self.weights + self.biases

        def backward(self, dvalues: Array) -> None:
            self.dweights = self.inputs.T @ dvalues
            self.dbiases = dvalues.sum(axis=0, keepdims=True)
            self.dinputs = dvalues @ self.weights.T

    report = check_gradients.layer(Kept(), X)
    assert report.verdict == "ok"
    assert checked(report) == ["biases", "inputs", "weights"]


def test_parameters_that_are_objects_with_a_gradient_of_their_own_are_found() -> None:
    class Parameter:
        def __init__(self, data: Array) -> None:
            self.data, self.grad = data, np.zeros_like(data)

    class Linear:
        def __init__(self, fault: float = 1.0) -> None:
            self.weight = Parameter(np.random.default_rng(2).normal(size=(4, 3)))
            self.bias = Parameter(np.zeros(3))
            self._fault = fault

        def forward(self, x: Array) -> Array:
            self.x = x
            return np.asarray(x @ self.weight.data + self.bias.data)

        def backward(self, dout: Array) -> Array:
            self.weight.grad = self._fault * self.x.T @ dout
            self.bias.grad[:] = dout.sum(axis=0)
            return np.asarray(dout @ self.weight.data.T)

    report = check_gradients.layer(Linear(), X)
    assert report.verdict == "ok"
    assert checked(report) == ["bias.data", "weight.data", "x"]
    assert wrong(check_gradients.layer(Linear(fault=2.0), X)) == ["weight.data"]


def test_a_model_that_returns_cost_and_gradients_is_checked_in_place() -> None:
    """As in CS231n's assignments."""

    class Model:
        def __init__(self) -> None:
            draw = np.random.default_rng(3)
            self.params = {"W1": draw.normal(size=(4, 2)), "b1": np.zeros(2)}
            self.reg = 0.1

        def loss(self, X: Array, y: Array) -> Any:
            off = X @ self.params["W1"] + self.params["b1"] - y
            W = self.params["W1"]
            value = 0.5 * np.sum(off**2) + 0.5 * self.reg * np.sum(W**2)
            return value, {"W1": X.T @ off + self.reg * W, "b1": off.sum(axis=0)}

    model = Model()
    report = check_gradients(model.loss, True, model, X, Y, inplace=True)
    assert report.verdict == "ok"
    assert checked(report) == ["params.W1", "params.b1"]


@pytest.mark.parametrize("more", [(), ("more",)])
def test_a_layer_may_hand_its_cache_over(more: tuple[str, ...]) -> None:
    class Square:
        def __init__(self) -> None:
            self.w, self.dw = np.array([1.0, 2.0]), np.zeros(2)

        def forward(self, x: Any) -> Any:
            return self.w * x**2, x.copy(), *more

        def backward(self, dout: Any, x: Any, *rest: Any) -> Any:
            assert rest == more
            self.dw = dout * x**2
            return 2 * dout * self.w * x

    report = check_gradients.layer(Square(), np.array([0.5, -1.5]))
    assert (report.verdict, [p.name for p in report.parameters]) == ("ok", ["x", "w"])


def test_a_layer_whose_backward_pass_takes_no_cache_gets_none() -> None:
    class Square:
        def forward(self, x: Any) -> Any:
            self.x = x.copy()
            return x**2, "beside"

        def backward(self, dout: Any) -> Any:
            return 3 * dout * self.x

    report = check_gradients.layer(Square(), np.array([0.5, -1.5]))
    assert report.verdict == "bug"


def test_a_generator_and_arrays_that_a_layer_keeps_come_back() -> None:
    class Noisy:
        def __init__(self) -> None:
            self.rng = np.random.default_rng(4)
            self.count = [0]

        def forward(self, x: Any) -> Any:
            self.rng.random()
            self.count[0] += 1
            return 2 * x, x

        def backward(self, dout: Any, x: Any) -> Any:
            return 2 * dout

    layer = Noisy()
    assert check_gradients.layer(layer, np.ones(2)).verdict == "ok"
    assert layer.rng.random() == np.random.default_rng(4).random()
    assert layer.count == [0]


@pytest.mark.parametrize("more", [(), ("more",)])
def test_a_network_may_hand_its_cache_to_its_gradient(more: tuple[str, ...]) -> None:
    class Model:
        def __init__(self) -> None:
            self.w = np.array([0.5, -1.5])

        def loss(self, x: Any) -> Any:
            out = x @ self.w
            return float(out @ out), out, *more

        def gradient(self, x: Any, cache: Any) -> Any:
            out = cache[0] if more else cache
            return {"w": 2 * x.T @ out}

    model, data = Model(), {"x": X[:, :2]}
    report = check_gradients(model.loss, model.gradient, model, data=data, inplace=True)
    assert (report.verdict, checked(report)) == ("ok", ["w"])


def test_gradients_in_lists_within_a_dict_are_found_by_their_places() -> None:
    class Model:
        def __init__(self) -> None:
            self.layers = [{"W": np.array([0.5, 2.0])}, {"W": np.array([1.5])}]

        def loss(self) -> float:
            return float(np.sum(self.layers[0]["W"] ** 2) + np.sum(self.layers[1]["W"] ** 3))

        def gradient(self) -> Any:
            first, second = (layer["W"] for layer in self.layers)
            return {"layers": [{"dW": 2 * first}, {"dW": 3 * second**2}]}

    model = Model()
    report = check_gradients(model.loss, model.gradient, model, inplace=True)
    assert report.verdict == "ok"
    assert checked(report) == ["layers[0].W", "layers[1].W"]


def test_a_list_that_fits_no_arrays_leaves_none_to_check() -> None:
    class Model:
        def __init__(self) -> None:
            self.w = np.array([0.5, 2.0])

        def loss(self) -> float:
            return float(self.w @ self.w)

    model = Model()
    with pytest.raises(ProblemError) as refused:
        check_gradients(model.loss, lambda: [np.zeros(3)], model, inplace=True)
    assert refused.value.code in ("missing-gradient", "no-parameters")


class Arrays:
    """A network of two arrays, which keeps them and their gradients as `kind` says."""

    def __init__(self, kind: str) -> None:
        first, last = np.array([0.5, 2.0]), np.array([1.5])
        self.kind = kind
        if kind == "lists of both":
            self.params, self.grads = [first, last], [np.zeros(2), np.zeros(1)]
        elif kind == "lists of a name":
            self.W, self.dW = [first, last], [np.zeros(2), np.zeros(1)]
        else:
            self.first = {"W": first, "dW": np.zeros(2)}
            self.last = {"W": last, "dW": np.zeros(1)}

    @property
    def own(self) -> list[Any]:
        if self.kind == "a dict a layer":
            return [self.first["W"], self.last["W"]]
        return self.params if self.kind == "lists of both" else self.W

    def loss(self) -> float:
        first, last = self.own
        return float(np.sum(first**2) + np.sum(last**3))

    def gradient(self, factor: float) -> None:
        first, last = self.own
        found = [2 * first, factor * 3 * last**2]
        if self.kind == "lists of both":
            self.grads[:] = found
        elif self.kind == "lists of a name":
            self.dW = found
        else:
            self.first["dW"], self.last["dW"][:] = found


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("lists of both", ["params[0]", "params[1]"]),
        ("lists of a name", ["W[0]", "W[1]"]),
        ("a dict a layer", ["first.W", "last.W"]),
    ],
)
def test_gradients_beside_the_arrays_are_found(kind: str, names: list[str]) -> None:
    net = Arrays(kind)
    right = check_gradients(net.loss, lambda: net.gradient(1.0), net, inplace=True)
    assert (right.verdict, [p.name for p in right.parameters]) == ("ok", names)
    report = check_gradients(net.loss, lambda: net.gradient(1.1), net, inplace=True)
    assert wrong(report) == names[1:]
