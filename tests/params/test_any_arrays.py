"""Arrays of any dtype, memory order, strides and size, however they lie in memory.

What is drawn here are the arrays themselves; `test_theta` draws the containers around them.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from numpy.lib.stride_tricks import as_strided
from properties import tried

from pytest_gradcheck import ProblemError, check_gradients
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[Any]

DTYPES = ["f8", "f4", "f2", ">f8", ">f4", "g", "c16", "c8", ">c16"]
ORDERS = ["C", "F", "strided", "reversed", "moved axes", "within another", "read-only"]

shapes = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)


def every(part: slice, array: Array) -> Array:
    """Return a view of a part of every axis."""
    index: Any = (*(part for _ in array.shape), ...)
    found: Array = array[index]
    return found


def laid_out(values: Array, order: str) -> Array:
    """Return an array of the same numbers that lies in memory in some way."""
    if order == "F":
        return np.asfortranarray(values)
    if order == "strided":
        wide = np.full([2 * n + 1 for n in values.shape], 7, values.dtype)
        part = every(slice(1, None, 2), wide)
        part[...] = values
        return part
    if order == "reversed":
        backwards = slice(None, None, -1)
        return every(backwards, every(backwards, values).copy())
    if order == "moved axes":
        return np.asarray(values.T.copy().T)
    if order == "within another":
        around = np.full(values.size + 2, 7, values.dtype)
        around[1:-1] = values.ravel()
        return around[1:-1].reshape(values.shape)
    return values


@st.composite
def arrays(draw: st.DrawFn, dtypes: list[str] = DTYPES, orders: list[str] = ORDERS) -> Array:
    """Draw an array; its numbers are plain, since they are not what may go wrong."""
    dtype, order = np.dtype(draw(st.sampled_from(dtypes))), draw(st.sampled_from(orders))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(shapes)
    numbers = rng.uniform(0.25, 2, shape) * rng.choice([-1, 1], shape)
    values = np.asarray(numbers + (1j * numbers[::-1] if dtype.kind == "c" and shape else 0))
    array = laid_out(np.asarray(values if dtype.kind == "c" else values.real, dtype), order)
    array.setflags(write=order != "read-only")
    return array


def a_number(array: Array) -> bool:
    return array.size > 0


def params_of(entries: st.SearchStrategy[Array]) -> st.SearchStrategy[dict[Any, Any]]:
    """Draw params that hold a float at least, under names of all kinds."""
    keys = st.one_of(st.text("aW1._[]é", min_size=1, max_size=3), st.integers(-2, 12))
    held = st.one_of(entries, st.lists(entries, min_size=1, max_size=2))
    return st.dictionaries(keys, held, min_size=1, max_size=3).filter(
        lambda params: any(map(a_number, leaves_of(params)))
    )


def leaves_of(value: Any) -> list[Array]:
    """Return the arrays of a structure in order."""
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves_of(item)]
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves_of(item)]
    return [value]


def reals(array: Array) -> list[float]:
    """Return the numbers of an array in order, complex ones as pairs, as float64."""
    if array.dtype.kind != "c":
        return [float(number) for number in array.ravel()]
    return [float(part) for z in array.ravel() for part in (z.real, z.imag)]


def looked_up(value: Any, name: str, first: bool = True) -> list[float]:
    """Return the numbers that stand where a name leads, typed by a user who knows the keys."""
    if isinstance(value, np.ndarray):
        is_part = name.endswith((".real", ".imag"))
        rest, part = (name[:-5], name[-4:]) if is_part else (name, "")
        index = eval(f"numbers{rest}", {"numbers": value}) if rest else value[()]
        return [float(getattr(index, part) if part else index)] if np.ndim(index) == 0 else []
    found = []
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        step = f"[{key}]" if isinstance(key, int) else key if first else f".{key}"
        if name.startswith(step):
            try:
                found += looked_up(item, name[len(step) :], False)
            except (SyntaxError, IndexError, AttributeError, TypeError, NameError):
                continue  # a key that another one begins with
    return found


def bits(array: Array) -> Any:
    return array.dtype.str, array.shape, array.strides, array.flags.writeable, array.tobytes()


@tried(300)
@given(params_of(arrays()), st.booleans())
def test_theta_is_the_users_numbers_and_names_say_where_they_stand(
    params: dict[str, Any], inplace: bool
) -> None:
    if inplace and any(a_number(leaf) and not leaf.flags.writeable for leaf in leaves_of(params)):
        with pytest.raises(ProblemError) as error:
            Theta(params, inplace=True)
        assert error.value.code == "readonly-params"
        return
    theta = Theta(params, inplace=inplace)
    expected = [number for leaf in leaves_of(params) for number in reals(leaf)]
    assert theta.base.tolist() == expected
    for parameter in theta.parameters:
        for number in range(parameter.start, parameter.stop):
            name = parameter.component_name(parameter.index(number))
            assert expected[number] in looked_up(params, name), name


@tried(300)
@given(params_of(arrays(orders=ORDERS[:-1])), st.booleans(), st.data())
def test_theta_moved_and_put_back_is_what_it_was_to_the_last_bit(
    params: dict[str, Any], inplace: bool, data: st.DataObject
) -> None:
    mine = leaves_of(params)
    before = [bits(leaf) for leaf in mine]
    theta = Theta(params, inplace=inplace)
    number = data.draw(st.integers(0, theta.base.size - 1))
    moved = theta.base.copy()
    moved[number] *= 2  # a number that every format has
    with theta.guarded(), theta.at(moved):
        seen = leaves_of(theta.tree)
        assert [number for leaf in seen for number in reals(leaf)] == moved.tolist()
        assert [leaf.shape for leaf in seen] == [leaf.shape for leaf in mine]
        assert all(
            (one is other) == inplace
            for one, other in zip(seen, mine, strict=True)
            if a_number(one)
        )
    assert [bits(leaf) for leaf in mine] == before
    assert theta.changed() is None


# Arrays that lie over each other


@st.composite
def placed(draw: st.DrawFn) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Draw where an array lies in a row of forty numbers: first, shape and strides."""
    shape = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    strides = tuple(draw(st.integers(-4, 4)) for _ in shape)
    return draw(st.integers(16, 24)), shape, strides


def view(row: Array, place: tuple[int, tuple[int, ...], tuple[int, ...]]) -> Array:
    first, shape, strides = place
    return as_strided(row[first:], shape, [row.itemsize * stride for stride in strides])


@tried(300)
@given(st.lists(placed(), min_size=1, max_size=4), st.sampled_from(["f8", "f4", "c16"]))
def test_arrays_that_share_a_number_are_refused_in_place_and_only_they(
    places: list[tuple[int, tuple[int, ...], tuple[int, ...]]], dtype: str
) -> None:
    row = np.arange(1.0, 41.0).astype(dtype)
    cells = [view(np.arange(40), place).ravel().tolist() for place in places]
    everything = [cell for some in cells for cell in some]
    params = {f"p{i}": view(row, place) for i, place in enumerate(places)}
    if len(set(everything)) == len(everything):
        theta = Theta(params, inplace=True)
        theta.write(2 * theta.base)
        assert [row[cell] for cell in everything] == [2 * (cell + 1) for cell in everything]
    else:
        with pytest.raises(ProblemError) as error:
            Theta(params, inplace=True)
        assert error.value.code == "tied-params"


@tried(200)
@given(st.lists(placed(), min_size=1, max_size=4), st.data())
def test_copies_of_arrays_that_share_a_number_move_apart(
    places: list[tuple[int, tuple[int, ...], tuple[int, ...]]], data: st.DataObject
) -> None:
    row = np.arange(1.0, 41.0)
    theta = Theta({f"p{i}": view(row, place) for i, place in enumerate(places)})
    moved = theta.base.copy()
    moved[data.draw(st.integers(0, moved.size - 1))] += 0.5
    with theta.at(moved):
        assert np.concatenate([leaf.ravel() for leaf in theta.tree.values()]).tolist() == (
            moved.tolist()
        )
    assert row.tolist() == np.arange(1.0, 41.0).tolist()


# Whole checks


def surroundings() -> dict[str, Any]:
    """Return what belongs to nobody and is shared by all: it has to be what it was."""
    state: Any = np.random.get_state(legacy=False)
    return {
        "NumPy's generator": (state["state"]["key"].tobytes(), state["state"]["pos"]),
        "its spare number": (state["has_gauss"], state["gauss"]),
        "random's generator": random.getstate(),
        "the error state": np.geterr(),
        "the error callback": np.geterrcall(),
        "the warnings filters": list(warnings.filters),
        "how numbers are printed": np.get_printoptions(),
    }


class Stop(Exception):
    """Raised by a function of the user's at some call."""


def summed(value: Any, power: int) -> float:
    """Return a cost in every real of a structure, in float64."""
    return float(
        sum(np.sum(np.asarray(reals(leaf), np.float64) ** power) for leaf in leaves_of(value))
    )


def slopes(value: Any, power: int) -> Any:
    """Return its gradient, in the structure of the params."""
    if isinstance(value, dict):
        return {key: slopes(item, power) for key, item in value.items()}
    if isinstance(value, list):
        return [slopes(item, power) for item in value]
    if value.dtype.kind == "c":
        wide = value.astype(np.complex128)
        return power * (wide.real ** (power - 1) + 1j * wide.imag ** (power - 1))
    return power * value.astype(np.float64) ** (power - 1)


@tried(150)
@given(
    params=params_of(arrays(dtypes=["f8", "f4", ">f8", "c16", "c8"])),
    inplace=st.booleans(),
    settings=st.sampled_from(
        [{}, {"mode": "sample"}, {"mode": "probe"}, {"eps": 1e-2}, {"train": 2}]
    ),
    frozen=st.booleans(),
    wrong=st.booleans(),
    stop=st.one_of(st.none(), st.integers(1, 30)),
    seed=st.integers(0, 99),
)
def test_a_check_leaves_nothing_behind_however_it_ends(
    params: dict[str, Any],
    inplace: bool,
    settings: dict[str, Any],
    frozen: bool,
    wrong: bool,
    stop: int | None,
    seed: int,
) -> None:
    calls = 0

    def called() -> None:
        nonlocal calls
        calls += 1
        if frozen:
            random.random()
            np.random.standard_normal()
        if calls == stop:
            raise Stop

    def cost(given: Any) -> float:
        called()
        return summed(given, 2)

    def grad(given: Any) -> Any:
        called()
        return slopes(given, 3 if wrong else 2)

    random.seed(seed)
    np.random.seed(seed)
    np.random.standard_normal()  # leaves a spare one
    mine = leaves_of(params)
    before, around = [bits(leaf) for leaf in mine], surroundings()
    dropout = "freeze" if frozen else "off"
    with np.errstate(divide="raise", under="warn"):
        within = np.geterr()
        refusal = ""
        try:
            report = check_gradients(
                cost, grad, params, inplace=inplace, dropout=dropout, **settings
            )
            assert stop is not None or "eps" in settings or report.passed != wrong
        except ProblemError as error:
            refusal = error.code
        assert refusal in ("", "readonly-params", "cost-raised", "gradient-raised")
        assert np.geterr() == within
    assert [bits(leaf) for leaf in mine] == before
    assert all(one is other for one, other in zip(leaves_of(params), mine, strict=True))
    assert surroundings() == around
