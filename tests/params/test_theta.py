"""theta: one vector from any structure, and the user's own numbers bit by bit afterwards."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck import ProblemError, check_gradients
from pytest_gradcheck.params.layout import Parameter, scatter
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]


class Pair(NamedTuple):
    weight: Any
    bias: Any


@dataclass
class Plain:
    weight: Any
    bias: Any


@dataclass(frozen=True)
class Frozen:
    weight: Any
    bias: Any


@dataclass(slots=True)
class Slots:
    weight: Any
    bias: Any


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    weight: Any
    bias: Any


Untyped = namedtuple("Untyped", ["weight", "bias"])


class Tagged(np.ndarray[Any, np.dtype[np.float64]]):
    """An array subclass that carries something beside its numbers."""

    tag: str

    def __array_finalize__(self, other: Any) -> None:
        self.tag = getattr(other, "tag", "none")


def objects(*items: Any) -> Any:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def default_dict(**entries: Any) -> Any:
    made: defaultdict[str, Any] = defaultdict(list)
    made.update(entries)
    return made


W = np.arange(6.0).reshape(2, 3) + 1

CONTAINERS = {
    "an array": (W, ["theta"]),
    "a 0-d array": (np.array(2.0), ["theta"]),
    "a float": (2.5, ["theta"]),
    "a NumPy scalar": (np.float64(2.5), ["theta"]),
    "a dict": ({"W1": W, "b1": 0.5}, ["W1", "b1"]),
    "an OrderedDict": (OrderedDict(b=0.5, W=W), ["b", "W"]),
    "a defaultdict": (default_dict(W=W, b=0.5), ["W", "b"]),
    "a read-only mapping": (MappingProxyType({"W": W, "b": 0.5}), ["W", "b"]),
    "a list": ([W, np.ones(2)], ["[0]", "[1]"]),
    "a list of floats": ([1.0, 2.0, 3.0], ["[0]", "[1]", "[2]"]),
    "a tuple": ((W, 1.0), ["[0]", "[1]"]),
    "a named tuple": (Untyped(W, 1.0), ["weight", "bias"]),
    "a typed named tuple": (Pair(W, 1.0), ["weight", "bias"]),
    "a dataclass": (Plain(W, 1.0), ["weight", "bias"]),
    "a frozen dataclass": (Frozen(W, 1.0), ["weight", "bias"]),
    "a dataclass with slots": (Slots(W, 1.0), ["weight", "bias"]),
    "a frozen dataclass with slots": (FrozenSlots(W, 1.0), ["weight", "bias"]),
    "a namespace": (SimpleNamespace(weight=W, bias=1.0), ["weight", "bias"]),
    "an object array": (objects(W, np.ones(3)), ["[0]", "[1]"]),
    "a matrix": (W.view(np.matrix), ["theta"]),
    "nothing but nesting": (
        {"layers": [Frozen(W, np.ones(3)), Pair(W, 1.0)], "head": {"b": np.float64(3.0)}},
        ["layers[0].weight", "layers[0].bias", "layers[1].weight", "layers[1].bias", "head.b"],
    ),
    "integer keys": ({0: W, 1: {"b": 1.0}}, ["[0]", "[1].b"]),
    "NumPy integer keys": ({np.int64(0): W}, ["[0]"]),
    "tuple keys": ({("a", 1): W}, ["[('a', 1)]"]),
}


@pytest.mark.parametrize(("params", "names"), CONTAINERS.values(), ids=CONTAINERS.keys())
def test_every_container_is_laid_out_and_named(params: Any, names: list[str]) -> None:
    theta = Theta(params)
    assert [parameter.name for parameter in theta.parameters] == names
    assert theta.base.size == sum(parameter.size for parameter in theta.parameters)
    assert theta.base.dtype == np.float64


@pytest.mark.parametrize("params", [c[0] for c in CONTAINERS.values()], ids=CONTAINERS.keys())
def test_the_cost_receives_the_container_types_it_was_given(params: Any) -> None:
    def same(given: Any, received: Any) -> None:
        if isinstance(given, float) and not isinstance(given, np.generic):
            assert type(received) is float
        else:
            assert type(received) is type(given)
        if dataclasses.is_dataclass(given):
            for item in dataclasses.fields(given):
                same(getattr(given, item.name), getattr(received, item.name))
        elif hasattr(given, "keys"):
            assert list(given) == list(received)
            for key in given:
                same(given[key], received[key])
        elif isinstance(given, (list, tuple)):
            for one, other in zip(given, received, strict=True):
                same(one, other)
        elif isinstance(given, np.ndarray) and given.dtype != object:
            np.testing.assert_array_equal(received, given)
            assert received.shape == given.shape

    same(params, Theta(params).tree)


def test_a_frozen_dataclass_in_a_list_is_rebuilt_and_the_given_one_left_alone() -> None:
    layer = Frozen(W.copy(), 1.0)
    theta = Theta([layer])
    with theta.at(theta.base + 1):
        assert theta.tree[0].bias == 2.0
        np.testing.assert_array_equal(theta.tree[0].weight, W + 1)
    assert layer.bias == 1.0
    np.testing.assert_array_equal(layer.weight, W)


def test_a_defaultdict_keeps_its_factory() -> None:
    assert Theta(default_dict(W=W)).tree["absent"] == []


def test_an_array_subclass_keeps_what_it_carries() -> None:
    leaf = np.ones(3).view(Tagged)
    leaf.tag = "bias"
    received = Theta({"b": leaf}).tree["b"]
    assert isinstance(received, Tagged)
    assert received.tag == "bias"


@pytest.mark.parametrize(
    "fixed",
    [3, True, "relu", None, np.arange(4), np.array([True, False]), np.int32(2), b"x", np.zeros(0)],
    ids=["int", "bool", "str", "None", "int array", "bool array", "int scalar", "bytes", "empty"],
)
def test_what_holds_no_floats_is_held_fixed_and_handed_on(fixed: Any) -> None:
    theta = Theta({"W": W, "other": fixed})
    assert [parameter.name for parameter in theta.parameters] == ["W"]
    assert theta.tree["other"] is fixed


def test_a_dataclass_field_that_was_never_set_is_passed_over() -> None:
    @dataclass
    class Lazy:
        weight: Any
        cache: Any = dataclasses.field(init=False)

    assert [p.name for p in Theta(Lazy(W)).parameters] == ["weight"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble, ">f8"])
def test_leaves_of_any_float_type_are_checked_in_float64(dtype: Any) -> None:
    theta = Theta({"W": np.array([0.1, 0.2], dtype=dtype)})
    assert theta.tree["W"].dtype == np.float64
    np.testing.assert_array_equal(theta.base, np.array([0.1, 0.2], dtype=dtype).astype(np.float64))


def test_under_inplace_float32_leaves_stay_what_they_are() -> None:
    leaf = np.array([0.1, 0.2], dtype=np.float32)
    theta = Theta({"W": leaf}, inplace=True)
    assert theta.tree["W"] is leaf
    assert theta.stored(np.array([0.3]), slice(0, 1))[0] == float(np.float32(0.3))


COMPONENTS = [
    ({"W1": np.zeros((4, 8))}, 3 * 8 + 7, "W1[3, 7]"),
    ({"layers": [{"bias": np.zeros(3)}]}, 2, "layers[0].bias[2]"),
    ({"b": 1.0}, 0, "b"),
    (np.zeros(20), 12, "theta[12]"),
    (np.zeros((3, 4)), 5, "theta[1, 1]"),
    ([np.zeros(2), np.zeros((1, 5))], 6, "[1][0, 4]"),
    (Frozen(np.zeros(2), 1.0), 2, "bias"),
    (2.0, 0, "theta"),
    ({"b": np.array(1.0)}, 0, "b"),
    ({"b": np.ones(1)}, 0, "b[0]"),
]


@pytest.mark.parametrize(("params", "number", "name"), COMPONENTS, ids=[c[2] for c in COMPONENTS])
def test_a_component_is_named_as_one_would_type_it(params: Any, number: int, name: str) -> None:
    theta = Theta(params)
    parameter = next(p for p in theta.parameters if p.start <= number < p.stop)
    assert parameter.component_name(parameter.index(number)) == name


@pytest.mark.parametrize(
    ("only", "exclude", "kept"),
    [
        (("W*",), (), ["W1", "W2"]),
        (("W1", "b1"), (), ["W1", "b1"]),
        ((), ("b*",), ["W1", "W2"]),
        (("*1",), ("b1",), ["W1"]),
        ((), (), ["W1", "b1", "W2"]),
    ],
)
def test_names_and_patterns_select_parameters(
    only: tuple[str, ...], exclude: tuple[str, ...], kept: list[str]
) -> None:
    theta = Theta({"W1": W, "b1": 1.0, "W2": W}, only=only, exclude=exclude)
    assert [parameter.name for parameter in theta.selected] == kept
    assert theta.selected_numbers == {["W1", "b1", "W2"].index(name) for name in kept}


def test_parameters_that_are_checked_keep_their_numbers_and_their_order() -> None:
    theta = Theta({f"p{i}": np.ones(i + 1) for i in range(40)}, only=["p1", "p8", "p33", "p39"])
    numbers = [(number, parameter.name) for number, parameter in theta.layout.numbered]
    assert numbers == [(1, "p1"), (8, "p8"), (33, "p33"), (39, "p39")]


def test_a_name_in_brackets_is_meant_literally() -> None:
    assert [p.name for p in Theta([W, W.copy()], only=("[1]",)).selected] == ["[1]"]


@pytest.mark.parametrize("setting", ["only", "exclude"])
def test_a_pattern_that_matches_nothing_names_the_nearest_parameter(setting: str) -> None:
    with pytest.raises(ProblemError, match=rf"{setting}='weigth'.*did you mean 'weight'") as error:
        Theta({"weight": W, "b": 1.0}, **{setting: ("weigth",)})  # type: ignore[arg-type]
    assert error.value.code == "bad-setting"


def test_a_container_that_holds_itself_is_refused_by_name() -> None:
    params: dict[str, Any] = {"W": W, "layer": {}}
    params["layer"]["parent"] = params
    with pytest.raises(ProblemError, match=r"layer\.parent is a container that holds itself") as e:
        Theta(params)
    assert e.value.code == "tied-params"


def test_a_container_that_holds_itself_is_fine_under_inplace() -> None:
    params: dict[str, Any] = {"W": W.copy()}
    params["net"] = params
    report = check_gradients(
        lambda: float(np.sum(params["W"] ** 2)),
        lambda: {"W": 2 * params["W"]},
        params,
        inplace=True,
    )
    assert report.passed


# Nothing of the user's is ever changed


def bits(value: Any) -> Any:
    """Return every number of a structure as its bytes."""
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.strides, value.tobytes()
    return type(value), np.asarray(value).tobytes()


def square(p: dict[str, Any]) -> float:
    return float(sum(np.sum(np.asarray(v, np.float64) ** 2) for v in p.values()))


def square_gradient(p: dict[str, Any]) -> dict[str, Any]:
    return {key: 2 * np.asarray(v, np.float64) for key, v in p.items()}


def test_without_inplace_nothing_of_the_users_is_ever_written() -> None:
    strided = np.arange(12.0).reshape(3, 4)[:, ::2]
    params = {"a": np.array([-0.0, 1e-300, 2.0]), "b": 0.5, "c": strided, "d": np.float32(0.1)}
    for array in (params["a"], strided):
        array.setflags(write=False)
    before, entries = bits(params), dict(params)
    assert check_gradients(square, square_gradient, params).passed
    assert bits(params) == before
    assert all(params[key] is entries[key] for key in entries)


def test_args_and_data_are_handed_on_as_they_are() -> None:
    X = np.arange(3.0)
    X.setflags(write=False)
    seen: list[bool] = []

    def cost(w: Array, X: Array) -> float:
        seen.append(X is handed)
        return float(w @ X)

    handed = X
    assert check_gradients(cost, lambda w, X: X, np.ones(3), X).passed
    assert check_gradients(cost, lambda w, X: X, np.ones(3), data={"X": X}).passed
    assert all(seen)


AWKWARD: dict[str, Callable[[], Any]] = {
    "C order": lambda: np.array([[0.1, -0.0], [1e-310, 3.0]]),
    "Fortran order": lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3) / 7),
    "strided": lambda: (np.arange(24.0).reshape(4, 6) / 7)[::2, 1::2],
    "reversed": lambda: (np.arange(5.0) / 7)[::-1],
    "transposed": lambda: (np.arange(6.0).reshape(2, 3) / 7).T,
    "float32": lambda: (np.arange(4.0) / 7).astype(np.float32),
    "float16": lambda: (np.arange(4.0) / 7).astype(np.float16),
    "big-endian": lambda: (np.arange(4.0) / 7).astype(">f8"),
    "long double": lambda: np.arange(3).astype(np.longdouble) / 7,
    "0-d": lambda: np.array(0.3),
    "a matrix": lambda: (np.arange(4.0).reshape(2, 2) / 7).view(np.matrix),
    "a float in the dict": lambda: 0.1,
    "a float32 scalar in the dict": lambda: np.float32(0.1),
}


class Stop(Exception):
    """Raised by a cost on one of its calls."""


class CallsTo:
    """Counts calls and raises on one of them."""

    def __init__(self, number: int, error: type[BaseException]) -> None:
        self.calls, self._number, self._error = 0, number, error

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self._number:
            raise self._error


@pytest.mark.parametrize("make", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize(
    ("error", "call"),
    [(Stop, 1), (Stop, 2), *((KeyboardInterrupt, call) for call in (1, 2, 9, 10, 17))],
)
def test_arrays_under_inplace_come_back_bit_by_bit_after_an_error(
    make: Callable[[], Any], call: int, error: type[BaseException]
) -> None:
    params = {"first": np.ones(3), "awkward": make()}
    before, entries, tripwire = bits(params), dict(params), CallsTo(call, error)

    def cost() -> float:
        tripwire()
        return square(params)

    caught: BaseException | None = None
    try:
        check_gradients(cost, lambda: square_gradient(params), params, inplace=True)
    except (ProblemError, KeyboardInterrupt) as raised:
        caught = raised.__cause__ or raised
    # What is raised at a perturbed theta alone is an edge, and the check goes on.
    assert isinstance(caught, error) or (caught is None and error is Stop and call > 2)
    assert bits(params) == before
    assert all(params[key] is entries[key] for key in entries)


@pytest.mark.parametrize("make", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("call", [9, 10, 17])
def test_arrays_under_inplace_come_back_bit_by_bit_after_an_edge(
    make: Callable[[], Any], call: int
) -> None:
    params = {"first": np.ones(3), "awkward": make()}
    before, tripwire = bits(params), CallsTo(call, Stop)

    def cost() -> float:
        tripwire()
        return square(params)

    check_gradients(cost, lambda: square_gradient(params), params, inplace=True)
    assert tripwire.calls >= call
    assert bits(params) == before


@pytest.mark.parametrize("make", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("settings", [{}, {"train": 3}, {"eps": 1e-2}], ids=str)
def test_arrays_under_inplace_come_back_bit_by_bit_after_a_check(
    make: Callable[[], Any], settings: dict[str, Any]
) -> None:
    params = {"first": np.array([1.0, -0.0]), "awkward": make()}
    before, entries = bits(params), dict(params)
    report = check_gradients(
        lambda: square(params), lambda: square_gradient(params), params, inplace=True, **settings
    )
    assert report.passed or "eps" in settings  # a fixed step is too coarse for float16
    assert len(report.points) == 1 + bool(settings.get("train"))
    assert bits(params) == before
    assert all(params[key] is entries[key] for key in entries)


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("call", [1, 2, 5])
def test_arrays_under_inplace_come_back_when_the_gradient_raises(
    call: int, error: type[BaseException]
) -> None:
    params = {"W": np.arange(4.0) / 3}
    before, tripwire = bits(params), CallsTo(call, error)

    def grad() -> dict[str, Any]:
        tripwire()
        return square_gradient(params)

    with pytest.raises((ProblemError, KeyboardInterrupt)):
        check_gradients(lambda: square(params), grad, params, inplace=True, train=10)
    assert tripwire.calls == call
    assert bits(params) == before


def test_nan_entries_of_excluded_parameters_keep_their_payload() -> None:
    odd = np.array([0x7FF8_0000_0000_BEEF, 0x8000_0000_0000_0000], np.uint64).view(np.float64)
    params = {"W": np.ones(2), "odd": odd}
    before = bits(params)
    report = check_gradients(
        lambda: float(np.sum(params["W"] ** 2)),
        lambda: {"W": 2 * params["W"]},
        params,
        inplace=True,
        exclude="odd",
    )
    assert report.passed
    assert bits(params) == before


def test_nan_in_a_checked_parameter_is_a_nonfinite_cost_and_comes_back() -> None:
    params = {"W": np.array([1.0, np.nan, -0.0])}
    before = bits(params)
    with pytest.raises(ProblemError) as error:
        check_gradients(
            lambda: square(params), lambda: square_gradient(params), params, inplace=True
        )
    assert error.value.code == "nonfinite-cost"
    assert bits(params) == before


@pytest.mark.parametrize("train", [0, 2])
def test_a_network_that_rebinds_its_entries_gets_its_own_arrays_back(train: int) -> None:
    inner = {"W": np.ones(3)}
    params: dict[str, Any] = {"layer": inner, "b": [np.ones(2), 0.5]}
    arrays = (inner["W"], params["b"], params["b"][0])
    before = bits(params)

    def cost() -> float:
        params["layer"] = {"W": params["layer"]["W"] * 0.5}
        return float(np.sum(params["layer"]["W"]))

    with pytest.raises(ProblemError, match=r"the cost changes .*: layer\.W was not") as error:
        check_gradients(cost, lambda: None, params, inplace=True, train=train)
    assert error.value.code == "mutated-params"
    assert bits(params) == before
    now = (params["layer"]["W"], params["b"], params["b"][0])
    assert all(one is other for one, other in zip(now, arrays, strict=True))
    assert params["layer"] is inner


def test_entries_that_a_network_takes_out_are_put_back() -> None:
    params = {"stack": [np.ones(2), np.zeros(2)], "rest": {"b": np.ones(1)}}
    before = bits(params)

    def cost() -> float:
        params["stack"].pop()  # type: ignore[attr-defined]
        del params["rest"]["b"]  # type: ignore[attr-defined]
        return 0.0

    with pytest.raises(ProblemError, match=r"stack\[1\] was not") as error:
        check_gradients(cost, lambda: None, params, inplace=True)
    assert error.value.code == "mutated-params"
    assert bits(params) == before


def test_scalars_in_lists_and_dataclasses_are_perturbed_in_place_and_put_back() -> None:
    layer = Slots(0.5, [0.25, 2.0])
    weight, bias = layer.weight, list(layer.bias)
    report = check_gradients(
        lambda: layer.weight**2 + layer.bias[0] * layer.bias[1],
        lambda: [2 * layer.weight, [layer.bias[1], layer.bias[0]]],
        layer,
        inplace=True,
    )
    assert report.passed
    assert layer.weight is weight
    assert all(one is other for one, other in zip(layer.bias, bias, strict=True))


def test_several_scalars_in_a_dict_are_not_taken_for_changed() -> None:
    params = {"a": 1.5, "b": 2.5, "W": np.ones(2)}
    assert check_gradients(square, square_gradient, params).passed


def test_a_thousand_scalars_are_found_again_quickly() -> None:
    theta = Theta({f"w{i}": float(i) for i in range(1000)})
    assert theta.changed() is None
    assert float(theta.cells(theta.parameters[999])[0]) == 999.0


# Whatever the structure


leaves = st.one_of(
    st.floats(-1e3, 1e3),
    st.integers(0, 9),
    st.sampled_from(["relu", None, True]),
    st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=4).map(np.array),
    st.lists(st.floats(-10, 10), min_size=2, max_size=2).map(lambda v: np.array([v, v])),
    st.floats(-10, 10).map(np.array),
    st.floats(-10, 10).map(np.float64),
)
keys = st.text("abcW12", min_size=1, max_size=3)


def containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(children, min_size=1, max_size=3),
        st.lists(children, min_size=1, max_size=3).map(tuple),
        st.dictionaries(keys, children, min_size=1, max_size=3),
        st.dictionaries(keys, children, min_size=1, max_size=3).map(OrderedDict),
        st.tuples(children, children).map(lambda pair: Pair(*pair)),
        st.tuples(children, children).map(lambda pair: FrozenSlots(*pair)),
    )


def flattened(value: Any) -> list[float]:
    """Return the floats of a structure in order, found by other means than the code's."""
    if isinstance(value, dict):
        return [number for item in value.values() for number in flattened(item)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [n for f in dataclasses.fields(value) for n in flattened(getattr(value, f.name))]
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in flattened(item)]
    if isinstance(value, (np.ndarray, np.floating, float)):
        return [float(number) for number in np.ravel(value)]
    return []


structures = st.recursive(leaves, containers, max_leaves=8).filter(lambda v: bool(flattened(v)))


@tried(150)
@given(structures)
def test_any_structure_makes_the_round_trip(params: Any) -> None:
    theta = Theta(params)
    assert theta.base.tolist() == flattened(params)
    assert flattened(theta.tree) == flattened(params)
    names = [p.component_name(p.index(i)) for p in theta.parameters for i in range(p.start, p.stop)]
    assert len(set(names)) == len(names) == theta.base.size
    assert theta.changed() is None


@tried(100)
@given(structures, st.data())
def test_moving_one_component_moves_one_entry(params: Any, data: st.DataObject) -> None:
    theta = Theta(params)
    number = data.draw(st.integers(0, theta.base.size - 1))
    moved = theta.base.copy()
    moved[number] += 1.0
    with theta.at(moved):
        assert flattened(theta.tree) == moved.tolist()
    assert flattened(theta.tree) == theta.base.tolist() == flattened(params)


CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "nothing": lambda params: None,
    "a number": lambda params: params["b"].__setitem__(1, 5.0),
    "the sign of a zero": lambda params: params["b"].__setitem__(0, -0.0),
    "another array": lambda params: params.__setitem__("W", params["W"].copy()),
    "another shape": lambda params: params.__setitem__("W", params["W"].reshape(-1)),
    "no entry": lambda params: params.pop("b"),
    "read-only": lambda params: params["W"].setflags(write=False),
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("more", [None, 0.5, np.ones(2, np.float32), np.ones(2, complex)])
def test_a_glance_at_arrays_in_place_says_what_a_look_at_each_does(how: str, more: Any) -> None:
    params: dict[str, Any] = {"W": np.ones((2, 3), order="F"), "b": np.zeros(2), "more": more}
    theta = Theta(params, inplace=True)
    CHANGES[how](params)
    assert theta.changed() == theta.storage._first_changed()
    assert (theta.changed() is None) == (how == "nothing")


def test_only_and_exclude_may_not_leave_nothing() -> None:
    with pytest.raises(ProblemError, match="leave no parameter to check") as refused:
        Theta({"W": np.ones(2), "b": np.ones(2)}, only=["W"], exclude=["W"])
    assert refused.value.code == "bad-setting"


def test_a_number_that_is_replaced_by_a_word_in_place_is_seen() -> None:
    params: dict[str, Any] = {"w": np.ones(2), "s": 0.5}

    def cost(p: dict[str, Any]) -> float:
        value = float(np.sum(p["w"] ** 2) * p["s"])
        p["s"] = "gone"
        return value

    with pytest.raises(ProblemError) as refused:
        check_gradients(cost, lambda p: {"w": p["w"], "s": 0.0}, params, inplace=True)
    assert refused.value.code == "mutated-params"
    assert params["s"] == 0.5


def test_components_that_are_not_in_a_selection_are_zero_in_all_of_theta() -> None:
    assert scatter(np.array([7.0]), np.array([1]), 3).tolist() == [0.0, 7.0, 0.0]
    assert scatter(np.array([7.0]), np.array([1]), 3, 5.0).tolist() == [5.0, 7.0, 5.0]


@pytest.mark.parametrize(("value", "spacing"), [(1.0, 2.0**-7), (1.5, 2.0**-7), (-5.0, 2.0**-5)])
def test_numbers_of_eight_digits_are_spaced_by_the_last_of_them(
    value: float, spacing: float
) -> None:
    brain = Parameter("W", (3,), 0, 3, np.dtype(np.float64), scalar=False, digits=8)
    assert brain.spacing(value) == spacing
    assert brain.rounded(np.array([value + 0.6 * spacing])) == value + spacing
