"""Values of other libraries as params and gradients: taken apart, or refused by name."""

from __future__ import annotations

import array
import contextlib
import decimal
import sys
import types
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from pytest_gradcheck import ProblemError, Report, check_gradients
from pytest_gradcheck.params.frameworks import ADAPTERS, _adapter, take
from pytest_gradcheck.params.objects import is_initializer
from pytest_gradcheck.params.theta import Theta

rng = np.random.default_rng(12)
FRAME = pd.DataFrame(rng.normal(size=(4, 2)), columns=["a", "b"])


def wrong(report: Report) -> list[str]:
    return sorted({c.name for c in report.components if c.verdict == "bug"})


class Value:
    """micrograd's scalar in ten lines."""

    def __init__(self, data: float, made_of: tuple[Any, ...] = ()) -> None:
        self.data, self.grad, self._made_of = data, 0.0, made_of

    def __mul__(self, other: Value) -> Value:
        return Value(self.data * other.data, ((self, other), (other, self)))

    def backward(self, upstream: float = 1.0) -> None:
        self.grad += upstream
        for one, other in self._made_of:
            one.backward(upstream * other.data)


class Tensor:
    """A tensor as people write it to learn."""

    def __init__(self, data: Any) -> None:
        self.data, self.grad = np.asarray(data), None

    def backward(self) -> None: ...


@dataclass
class Net:
    W: Any
    rate: float

    def __call__(self, x: Any) -> Any:
        return self.W @ x


PARAMS: dict[str, tuple[Any, list[str]]] = {
    "a series": (pd.Series([1.0, 2.0], index=["x", "y"]), ["theta"]),
    "a frame": ({"w": FRAME}, ["w"]),
    "a frame of several dtypes": (
        pd.DataFrame({"age": [1.0, 2.0], "name": ["x", "y"], "size": [0.5, 0.1]}),
        ["age", "size"],
    ),
    "a sparse matrix": ({"W": sp.csr_array(np.eye(3))}, ["W.data"]),
    "a sparse matrix without data": ({"W": sp.lil_array(np.eye(3))}, ["W.data"]),
    "scalars that remember": ([Value(1.0), Value(2.0)], ["[0]", "[1]"]),
    "a tensor of one's own": ({"W": Tensor(np.ones((2, 3)))}, ["W"]),
    "a callable dataclass": (Net(np.ones(2), 0.1), ["W", "rate"]),
}


@pytest.mark.parametrize(("params", "names"), PARAMS.values(), ids=PARAMS.keys())
def test_values_of_libraries_are_laid_out_and_given_back_as_what_they_are(
    params: Any, names: list[str]
) -> None:
    theta = Theta(params)
    assert [parameter.name for parameter in theta.parameters] == names
    with theta.at(theta.base + 1):
        tree = theta.tree
        assert type(tree) is type(params)
        np.testing.assert_array_equal(Theta(tree).base, theta.base + 1)
    np.testing.assert_array_equal(Theta(params).base, theta.base)


def test_a_series_keeps_its_labels_and_a_frame_its_columns() -> None:
    series = pd.Series([1.0, 2.0], index=["x", "y"], name="beta")
    assert Theta(series).tree.equals(series)
    assert list(Theta({"w": FRAME}).tree["w"].columns) == ["a", "b"]


def test_a_fault_in_a_frame_is_named_in_its_gradient() -> None:
    def grad(w: pd.DataFrame) -> pd.DataFrame:
        grads = 2 * w
        grads.iloc[1, 0] *= 1.5
        return grads

    report = check_gradients(lambda w: float((w**2).to_numpy().sum()), grad, FRAME)
    assert wrong(report) == ["theta[1, 0]"]


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dia"])
@pytest.mark.parametrize("answer", ["dense", "sparse", "the pattern's entries"])
def test_a_gradient_of_a_sparse_matrix_may_be_dense_sparse_or_its_entries(
    form: str, answer: str
) -> None:
    pattern = np.array([[0.5, 0.0, 0.2], [0.0, -0.3, 0.0]])
    start: Any = sp.coo_array(pattern)
    W = start.asformat(form)
    X = np.random.default_rng(3).normal(size=(4, 2))

    def grad(W: Any) -> Any:
        full = X.T @ np.cos(X @ W.toarray())
        if answer == "dense":
            return full
        if answer == "sparse":
            return sp.csr_array(np.where(pattern, full, 0.0))
        held = W if form in ("csr", "csc", "coo") else W.tocoo()
        numbered = held.copy()
        numbered.data = np.arange(1.0, 4.0)
        dense = numbered.toarray()
        return np.array([full[dense == n][0] for n in (1.0, 2.0, 3.0)])

    report = check_gradients(lambda W: float(np.sin(X @ W.toarray()).sum()), grad, W)
    assert report.verdict == "ok"
    assert report.parameters[0].checked == 3


def test_a_sparse_gradient_of_a_dense_parameter_is_taken() -> None:
    report = check_gradients(
        lambda p: float(np.sum(p["W"][[0, 2]] ** 2)),
        lambda p: {"W": sp.csr_array(2 * p["W"] * np.array([[1.0], [0.0], [1.0]]))},
        {"W": np.arange(1.0, 7).reshape(3, 2)},
    )
    assert report.passed


@pytest.mark.parametrize("inplace", [False, True])
def test_gradients_that_reverse_mode_left_in_scalars_are_found(inplace: bool) -> None:
    params = {"a": Value(0.7), "b": [Value(-1.2)]}

    def product(p: Any = params) -> Any:
        return p["a"] * p["b"][0] * p["a"]

    def backward(p: Any = params) -> None:
        p["a"].grad = p["b"][0].grad = 0.0
        product(p).backward()

    report = check_gradients(lambda p: product(p).data, backward, params, inplace=inplace)
    assert report.verdict == "ok"
    assert [p.name for p in report.parameters] == ["a", "b[0]"]
    assert (params["a"].data, params["b"][0].data) == (0.7, -1.2)  # type: ignore[attr-defined, index]


class Opaque:
    """An array of a library that nobody knows."""

    __slots__ = ("_hidden",)

    def __init__(self) -> None:
        self._hidden = [1.5]

    def __array__(self, *rest: Any, **named: Any) -> Any:
        raise TypeError("not here")


UNKNOWN: dict[str, Any] = {
    "an opaque array": Opaque(),
    "a decimal": decimal.Decimal("0.5"),
    "a deque": deque([0.5, 0.1]),
    "a set": {0.5},
    "an array of Python's": array.array("d", [0.5]),
    "a structured array": np.zeros(2, [("x", "f8"), ("n", "i4")]),
    "a polynomial": np.polynomial.Polynomial([0.5, 1.0]),
    "an object array of two axes": np.array([[0.5, None]], dtype=object),
    "a masked array": np.ma.array([1.0, 2.0], mask=[True, False]),
}


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("value", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_holds_floats_and_cannot_be_taken_apart_is_refused_by_name(
    value: Any, inplace: bool
) -> None:
    with pytest.raises(ProblemError, match=r"W is an? ") as caught:
        Theta({"W": value, "t": np.ones(1)}, inplace)
    assert caught.value.code == "unknown-params"


def test_the_refusal_shows_how_a_hook_is_written() -> None:
    with pytest.raises(ProblemError) as caught:
        Theta({"W": Opaque(), "t": 0.5})
    example = str(caught.value).split("apart:\n")[1]
    assert example.splitlines()[0].strip() == "def pytest_gradcheck_flatten(value):"
    assert "isinstance(value, Opaque)" in example
    assert len(example.splitlines()) == 3
    compile(f"if True:\n{example}", "conftest.py", "exec")


FIXED: dict[str, Any] = {
    "a function": np.sum,
    "a class": Value,
    "a set of integers": {1, 2},
    "a generator": np.random.default_rng(0),
    "an array of Python's integers": array.array("i", [1]),
    "an object without floats": Tensor(np.arange(3)),
    "a series of words": pd.Series(["x", "y"]),
    "a range": range(3),
    "a masked array of integers": np.ma.array([1, 2], mask=[False, True]),
}


@pytest.mark.parametrize("value", FIXED.values(), ids=FIXED.keys())
def test_what_holds_no_floats_is_held_fixed(value: Any) -> None:
    theta = Theta({"W": np.ones(2), "other": value})
    assert [parameter.name for parameter in theta.parameters] == ["W"]
    assert theta.tree["other"] is value


def test_attributes_of_an_object_are_parameters_with_its_name() -> None:
    class Layer:
        def __init__(self) -> None:
            self.weight, self.kind = np.ones((2, 2)), "dense"

    given = {"first": Layer(), "t": 0.5}
    theta = Theta(given)
    assert [parameter.name for parameter in theta.parameters] == ["first.weight", "t"]
    with theta.at(theta.base * 3):
        assert theta.tree["first"].weight[0, 0] == 3.0
        assert isinstance(theta.tree["first"], Layer)
    assert given["first"].weight[0, 0] == 1.0  # type: ignore[attr-defined]


def test_none_for_a_parameter_means_that_its_gradient_is_zero() -> None:
    def cost(p: Any) -> float:
        return float(np.sum(p["W"] ** 2))

    params = {"W": np.ones(2), "unused": {"b": np.ones(3)}}
    assert check_gradients(cost, lambda p: {"W": 2 * p["W"], "unused": None}, params).passed
    assert check_gradients(cost, lambda p: [2 * p["W"], {"b": None}], params).passed
    report = check_gradients(cost, lambda p: {"W": None, "unused": {"b": None}}, params)
    assert not report.passed
    with pytest.raises(ProblemError, match="gradient is None") as caught:
        check_gradients(cost, lambda p: None, params)
    assert caught.value.code == "missing-gradient"


@pytest.mark.parametrize("params", [Net(np.ones(2), 0.1), Value(0.5), {"W": 1.0}, np.ones(2)])
def test_containers_are_no_initializers_callable_or_not(params: Any) -> None:
    assert not is_initializer(params)


def test_functions_and_objects_without_arrays_draw_params() -> None:
    class Draw:
        scale = 0.1

        def __init__(self) -> None:
            self.size = 3

        def __call__(self, rng: np.random.Generator) -> Any:
            return self.scale * rng.normal(size=self.size)

    assert is_initializer(Draw())
    assert is_initializer(lambda rng: rng.normal(size=3))
    report = check_gradients(lambda x: float(x @ x), lambda x: 2 * x, Draw(), seeds=2)
    assert len(report.points) == 2


VIEWS: dict[str, Any] = {
    "a broadcast one": np.lib.stride_tricks.as_strided(np.ones(1), (4,), (0,)),
    "windows that overlap": np.lib.stride_tricks.as_strided(np.ones(6), (4, 3), (8, 8)),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_entries_that_share_memory_are_refused_in_place(view: Any) -> None:
    with pytest.raises(ProblemError, match="entries of W are the same numbers") as caught:
        Theta({"W": view}, inplace=True)
    assert caught.value.code == "tied-params"
    assert Theta({"W": view}).base.size == view.size


def test_an_array_that_is_not_aligned_is_perturbed_in_place() -> None:
    held = np.frombuffer(bytearray(8 * 5 + 1), np.float64, 5, offset=1)
    held[:] = np.arange(1.0, 6.0)
    before = held.tobytes()
    report = check_gradients(
        lambda: float(np.sum(held**3)), lambda: 3 * held**2, held, inplace=True
    )
    assert report.verdict == "ok"
    assert held.tobytes() == before


def test_a_masked_entry_of_a_gradient_is_zero() -> None:
    report = check_gradients(
        lambda x: float(x[0] ** 2),
        lambda x: np.ma.array(2 * x, mask=[False, True]),
        np.array([1.0, 2.0]),
    )
    assert report.verdict == "ok"


@pytest.mark.parametrize("depth", [100, 900, 3000])
def test_a_deep_nesting_is_walked(depth: int) -> None:
    params: Any = np.array([0.5, -1.0])
    for _ in range(depth):
        params = [params]

    def innermost(p: Any) -> Any:
        while isinstance(p, list):
            p = p[0]
        return p

    report = check_gradients(
        lambda p: float(np.sum(innermost(p) ** 2)), lambda p: 2 * innermost(p), params
    )
    assert report.verdict == "ok"


def test_a_series_of_gradients_counts_by_its_labels() -> None:
    beta = pd.Series([0.5, -0.2, 0.3], index=["x", "y", "z"])

    def grad(beta: Any) -> Any:
        return (3 * beta**2)[["z", "x", "y"]]

    assert check_gradients(lambda beta: float((beta**3).sum()), grad, beta).verdict == "ok"


def test_columns_of_gradients_count_by_their_names() -> None:
    report = check_gradients(
        lambda w: float((w**2).to_numpy().sum()), lambda w: (2 * w)[["b", "a"]], FRAME
    )
    assert report.verdict == "ok"


def test_a_module_that_stands_in_for_cupy_is_known_by_its_arrays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class DeviceArray:
        def __init__(self, host: Any) -> None:
            assert isinstance(host, np.ndarray)
            self._host, self.dtype, self.shape = host.copy(), host.dtype, host.shape

        def get(self) -> Any:
            return self._host.copy()

        def __array__(self, *rest: Any, **named: Any) -> Any:
            raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    module = types.ModuleType("cupy")
    vars(module).update(ndarray=DeviceArray, asarray=DeviceArray)
    monkeypatch.setitem(sys.modules, "cupy", module)
    seen: list[Any] = []

    def cost(p: Any) -> Any:
        seen.append(type(p["W"]))
        return DeviceArray(np.array(np.sum(p["W"].get() ** 2)))

    report = check_gradients(
        cost, lambda p: {"W": DeviceArray(2 * p["W"].get())}, {"W": DeviceArray(np.ones((2, 3)))}
    )
    assert report.verdict == "ok"
    assert set(seen) == {DeviceArray}


def test_a_function_of_scalars_of_ones_own_is_differentiated_by_them() -> None:
    def square(x: Value) -> Value:
        return x * x

    assert check_gradients.autograd(square, Value(0.7)).verdict == "ok"

    def wrong_square(x: Value) -> Value:
        return Value(x.data**2, ((x, x),))

    report = check_gradients.autograd(wrong_square, Value(0.7))
    assert [c.name for c in report.components] == ["x"]


def test_tensors_need_no_hook_and_so_go_to_workers() -> None:
    assert not Theta({"w": FRAME}).needs_hook
    assert Theta({"w": FRAME}, foreign=lambda value: None).needs_hook


MIXED = pd.DataFrame({"x": [0.5, -1.5], "word": ["a", "b"], "n": [1, 2], "y": [2.0, 0.25]})


def test_columns_of_numbers_of_a_mixed_frame_are_parameters_by_their_names() -> None:
    def cost(frame: Any) -> float:
        assert list(frame.columns) == list(MIXED.columns)
        assert list(frame["word"]) == ["a", "b"]
        return float(np.sum(frame["x"] ** 2 * frame["n"]) + np.sum(np.sin(frame["y"])))

    def grad(frame: Any) -> Any:
        return {"x": 2 * frame["x"] * frame["n"], "y": np.cos(frame["y"])}

    report = check_gradients(cost, grad, MIXED)
    assert (report.verdict, len(report.parameters)) == ("ok", 2)
    halved = check_gradients(cost, lambda frame: {**grad(frame), "y": np.cos(MIXED["x"])}, MIXED)
    assert {name.split("[")[0] for name in wrong(halved)} == {report.parameters[1].name}


def test_series_and_frames_in_place_are_written_to_and_put_back() -> None:
    series = pd.Series([0.5, -1.5, 2.0], index=["a", "b", "c"])
    frame = FRAME.copy()
    before = series.copy(), frame.copy()

    def cost(p: dict[str, Any]) -> float:
        assert p["s"] is series
        assert p["f"] is frame
        return float(np.sum(np.sin(p["s"])) + np.sum(np.asarray(p["f"]) ** 2))

    def grad(p: dict[str, Any]) -> dict[str, Any]:
        return {"s": np.cos(p["s"]), "f": 2 * p["f"]}

    report = check_gradients(cost, grad, {"s": series, "f": frame}, inplace=True)
    assert (report.verdict, report.parameters[1].checked) == ("ok", 8)
    pd.testing.assert_series_equal(series, before[0])
    pd.testing.assert_frame_equal(frame, before[1])


@pytest.mark.parametrize(
    "fixed",
    [
        pd.Series([1, 2]),
        pd.Series([], dtype=float),
        pd.DataFrame({"n": [1, 2]}),
        pd.Index([0.5, 1.5]),
        sp.csr_array(np.eye(2, dtype=int)),
        sp.csr_array((2, 2)),
    ],
    ids=["whole numbers", "empty", "a frame of whole numbers", "an index", "sparse", "no entry"],
)
def test_tables_without_floats_are_handed_on_as_they_are(fixed: Any) -> None:
    def cost(p: dict[str, Any]) -> float:
        assert type(p["fixed"]) is type(fixed)
        return float(p["w"] @ p["w"])

    report = check_gradients(cost, lambda p: {"w": 2 * p["w"]}, {"fixed": fixed, "w": np.ones(2)})
    assert [parameter.name for parameter in report.parameters] == ["w"]


def test_a_sparse_matrix_of_blocks_takes_its_own_entries_as_its_gradient() -> None:
    blocks = sp.bsr_array(np.kron(np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]])), blocksize=(2, 2))

    def cost(matrix: Any) -> float:
        assert matrix.format == "bsr"
        return float(np.sum(matrix.data**3))

    assert check_gradients(cost, lambda m: {"data": 3 * m.data**2}, blocks).verdict == "ok"
    assert check_gradients(cost, lambda m: {"data": m.data**2}, blocks).verdict == "bug"


# Libraries that need not be installed: modules that stand in for them


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **kinds: type) -> types.ModuleType:
    for kind in kinds.values():
        kind.__module__ = name
    module = types.ModuleType(name)
    vars(module).update(kinds)
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.mark.parametrize("at", [0.5, 2.0, 1.0])
def test_parameters_of_a_fit_are_moved_beyond_the_bounds_that_they_stand_at(
    monkeypatch: pytest.MonkeyPatch, at: float
) -> None:
    class Parameter:
        """lmfit's, which clips its value to its bounds."""

        vary, expr = True, None

        def __init__(self, value: float, min: float, max: float) -> None:
            self._value, self.min, self.max = value, min, max

        @property
        def value(self) -> float:
            return float(np.clip(self._value, self.min, self.max))

        @value.setter
        def value(self, number: float) -> None:
            self._value = number

    class Parameters(dict[str, Parameter]): ...

    stand_in(monkeypatch, "lmfit", Parameter=Parameter, Parameters=Parameters)
    fit = Parameters(a=Parameter(at, 0.5, 2.0), b=Parameter(0.3, 0.0, 1.0))

    def grad(p: Parameters) -> dict[str, float]:
        return {"a": 3 * p["a"].value ** 2, "b": float(np.cos(p["b"].value))}

    report = check_gradients(lambda p: p["a"].value ** 3 + np.sin(p["b"].value), grad, fit)
    assert report.verdict == "ok"
    assert (fit["a"].value, fit["a"].min, fit["a"].max) == (at, 0.5, 2.0)


def test_a_tensor_of_mygrad_is_made_again_as_constant_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Tensor:
        def __init__(self, data: Any, *, constant: bool = False) -> None:
            self.data, self.dtype, self.constant = data, data.dtype, constant

    class Operation: ...

    stand_in(monkeypatch, "mygrad", Tensor=Tensor, Operation=Operation)
    theta = Theta({"W": Tensor(np.array([1.0, 2.0], np.float32), constant=True)})
    with theta.at(theta.base + 0.5):
        moved = theta.tree["W"]
        assert isinstance(moved, Tensor)
        assert (moved.data.dtype, moved.constant) == (np.float32, True)
        np.testing.assert_array_equal(moved.data, [1.5, 2.5])
    assert take(Operation()) is None


def test_a_module_is_made_again_with_other_numbers_and_without_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Parameter:
        """A tensor of torch that requires a gradient, or does not."""

        grad: Any = "an old gradient"

        def __init__(self, data: Any, requires_grad: bool) -> None:
            self.data, self.requires_grad = data, requires_grad

        def detach(self) -> Any:
            return self.data

    class Module:
        def __init__(self) -> None:
            self.W, self.fixed = Parameter(1.5, True), Parameter(2.5, False)

        def named_parameters(self) -> Any:
            return vars(self).items()

    library = stand_in(monkeypatch, "torch", Tensor=Parameter, Module=Module)
    vars(library)["nn"] = library
    module = Module()
    taken = take(module)
    assert taken is not None
    assert list(taken.parts) == ["W"]
    twin = taken.rebuild({"W": Parameter(3.5, True)})
    assert (twin.W.data, twin.fixed.data) == (3.5, 2.5)
    assert twin.W.grad is twin.fixed.grad is None
    assert (module.W.data, module.W.grad) == (1.5, "an old gradient")


def test_a_type_is_taken_apart_as_by_the_library_of_its_nearest_base() -> None:
    class Mixin: ...

    Frame = type("Frame", (Mixin,), {"__module__": "xarray.core.frame"})
    Mine = type("Mine", (Frame,), {"__module__": "mine"})
    assert _adapter(Frame) is _adapter(Mine) is ADAPTERS["xarray"]
    assert _adapter(Mixin) is None


class Fixed:
    """An immutable array, as JAX's are."""

    __module__ = "jaxlib"
    sharding = None

    def __init__(self, host: Any, dtype: Any = None) -> None:
        self._host = np.array(host, dtype)
        self.dtype, self.size = self._host.dtype, self._host.size

    def __array__(self, *rest: Any, **named: Any) -> Any:
        return self._host.copy()


def test_immutable_arrays_in_a_dict_are_replaced_in_place_and_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = types.ModuleType("jax")
    numpy = types.SimpleNamespace(
        issubdtype=np.issubdtype, inexact=np.inexact, floating=np.floating, array=Fixed
    )
    vars(module).update(
        Array=Fixed,
        core=types.SimpleNamespace(Tracer=type(None)),
        dtypes=types.SimpleNamespace(issubdtype=lambda *_: False, prng_key=None),
        numpy=numpy,
        enable_x64=lambda _: contextlib.nullcontext(),
    )
    monkeypatch.setitem(sys.modules, "jax", module)
    held: dict[str, Any] = {"W": Fixed([0.5, -1.5])}

    def cost() -> float:
        return float(np.sum(np.asarray(held["W"]) ** 3))

    report = check_gradients(
        cost, lambda: {"W": 3 * np.asarray(held["W"]) ** 2}, held, inplace=True
    )
    assert report.verdict == "ok"
    assert np.asarray(held["W"]).tolist() == [0.5, -1.5]
