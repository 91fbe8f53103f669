"""The gradient's answer in every form people return it, and what is said where it does not fit."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, make_dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from properties import tried

from pytest_gradcheck import ProblemError
from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.params.theta import Theta

Array = npt.NDArray[np.float64]

W1 = np.arange(6.0).reshape(2, 3) + 10
B1 = np.array([[1.0], [2.0]])
W2 = np.arange(2.0).reshape(1, 2) + 20
B2 = 3.0
PARAMS = {"W1": W1 / 7, "b1": B1 / 7, "W2": W2 / 7, "b2": B2 / 7}
GRADS: dict[str, Any] = {"W1": W1, "b1": B1, "W2": W2, "b2": B2}
FLAT = np.concatenate([np.ravel(g) for g in GRADS.values()])

Named = namedtuple("Named", ["W1", "b1", "W2", "b2"])
Other = namedtuple("Other", ["first", "second", "third", "fourth"])


@dataclass
class Grads:
    dW1: Any
    db1: Any
    dW2: Any
    db2: Any


class Owner:
    """An object that keeps its gradients as attributes, among other things."""

    def __init__(self) -> None:
        self.name = "a net"
        self.dW1, self.db1, self.dW2, self.db2 = W1, B1, W2, B2


def objects(*items: Any) -> Any:
    array = np.empty(len(items), dtype=object)
    for i, item in enumerate(items):
        array[i] = item
    return array


def spelled(pattern: str) -> dict[str, Any]:
    return {pattern.format(key): value for key, value in GRADS.items()}


ANSWERS: dict[str, Any] = {
    "the same dict": GRADS,
    "the same dict in another order": dict(reversed(GRADS.items())),
    "an OrderedDict": OrderedDict(GRADS),
    "dW1": spelled("d{}"),
    "d_W1": spelled("d_{}"),
    "grad_W1": spelled("grad_{}"),
    "gradW1": spelled("grad{}"),
    "W1_grad": spelled("{}_grad"),
    "dW1 and extras": {**spelled("d{}"), "dZ2": np.ones((9, 9)), "dA1": "?", "dA0": None},
    "W1 and extras": {**GRADS, "loss": 0.5, "dZ1": W1},
    "dW1 beside other numbers called W1": {
        **{k: -9 * v for k, v in GRADS.items()},
        **spelled("d{}"),
    },
    "dW1 beside the parameters": {**PARAMS, **spelled("d{}")},
    "a flat vector": FLAT,
    "a column vector": FLAT.reshape(-1, 1),
    "a flat float32 vector": FLAT.astype(np.float32),
    "a flat list": FLAT.tolist(),
    "a list": list(GRADS.values()),
    "a tuple": tuple(GRADS.values()),
    "an object array": objects(*GRADS.values()),
    "a named tuple": Named(*GRADS.values()),
    "a named tuple with other names": Other(*GRADS.values()),
    "a dataclass": Grads(*GRADS.values()),
    "an object with attributes": Owner(),
    "a namespace": SimpleNamespace(**spelled("d{}")),
    "a tuple that begins with the dict": (spelled("d{}"), {"cache": 1}),
    "a tuple that begins with the list": (list(GRADS.values()), 0.5),
    "a tuple that begins with the vector": (FLAT, 0.5),
    "a tuple of one": (GRADS,),
    "integers": {key: np.asarray(value, int) for key, value in GRADS.items()},
    "nested lists": {key: np.asarray(value).tolist() for key, value in GRADS.items()},
    "a scalar as an array of one": {**GRADS, "b2": np.array([[3.0]])},
    "a scalar as an integer": {**GRADS, "b2": 3},
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_is_laid_out_like_theta(answer: Any) -> None:
    np.testing.assert_array_equal(flatten_gradient(answer, Theta(PARAMS)), FLAT)


SINGLE: dict[str, tuple[Any, Any, list[float]]] = {
    "an array": (np.zeros(3), np.arange(3.0), [0, 1, 2]),
    "a list": (np.zeros(3), [0.0, 1.0, 2.0], [0, 1, 2]),
    "a tuple of numbers": (np.zeros(3), (0.0, 1.0, 2.0), [0, 1, 2]),
    "a matrix as a flat vector": (np.zeros((2, 2)), np.arange(4.0), [0, 1, 2, 3]),
    "a tuple that begins with it": (np.zeros(3), (np.arange(3.0), "rest"), [0, 1, 2]),
    "a tuple of it and another like it": (np.zeros(3), (np.arange(3.0), np.ones(3)), [0, 1, 2]),
    "a tuple of it and a larger one": (np.zeros(2), (np.arange(2.0), np.ones((2, 2))), [0, 1]),
    "a dict of one": (np.zeros(3), {"dtheta": np.arange(3.0)}, [0, 1, 2]),
    "a float for a float": (1.0, 4.0, [4]),
    "an int for a float": (1.0, 4, [4]),
    "a 0-d array for a float": (1.0, np.array(4.0), [4]),
    "a one-element array for a float": (1.0, np.array([4.0]), [4]),
    "a NumPy scalar for a float": (1.0, np.float32(4.0), [4]),
    "a tuple that begins with a float": (1.0, (4.0, {"cache": 1}), [4]),
    "a tuple of two floats for a float": (1.0, (4.0, 5.0), [4]),
    "a one-tuple for a float": (1.0, (4.0,), [4]),
    "a float for a 0-d array": (np.array(1.0), 4.0, [4]),
    "a bare array for a dict of one": ({"W": np.zeros((2, 2))}, np.ones((2, 2)), [1, 1, 1, 1]),
    "a list of one for a list of one": ([np.zeros(2)], [np.arange(2.0)], [0, 1]),
    "a list with an entry for what is fixed": (
        [np.zeros(2), "relu", np.zeros(1)],
        [np.arange(2.0), None, np.ones(1)],
        [0, 1, 1],
    ),
    "a list with none for what is fixed": (
        [np.zeros(2), "relu", np.zeros(1)],
        [np.arange(2.0), np.ones(1)],
        [0, 1, 1],
    ),
    "a dict for a dataclass": (
        make_dataclass("P", ["w", "b"])(np.zeros(2), 1.0),
        {"dw": np.arange(2.0), "db": 5},
        [0, 1, 5],
    ),
    "prefixes in nested dicts": (
        {"layers": [{"W": np.zeros(2), "b": 0.0}, {"W": np.zeros(1), "b": 0.0}]},
        {"layers": [{"dW": np.ones(2), "db": 2.0}, {"W": [3.0], "b": 4.0}]},
        [1, 1, 2, 3, 4],
    ),
    "nested and prefixed on the outside": ({"enc": {"W": 1.0}}, {"denc": {"W": 2.0}}, [2]),
    "the leaves of a nested dict as a list": (
        {"a": {"W": np.zeros(2), "b": 0.0}, "c": 1.0},
        [np.ones(2), np.array(2.0), 3.0],
        [1, 1, 2, 3],
    ),
    "integer keys": ({0: 1.0, 1: 2.0}, {0: 3.0, 1: 4.0}, [3, 4]),
    "parameters called x and dx": ({"x": 1.0, "dx": 2.0}, {"x": 3.0, "dx": 4.0}, [3, 4]),
    "parameters called x and dx, prefixed": (
        {"x": 1.0, "dx": 2.0},
        {"dx": 3.0, "ddx": 4.0},
        [3, 4],
    ),
    "a gradient equal to its parameter": ({"x": 1.0, "y": 2.0}, {"x": 1.0, "y": 2.0}, [1, 2]),
}


@pytest.mark.parametrize(("params", "answer", "flat"), SINGLE.values(), ids=SINGLE.keys())
def test_an_answer_fits_its_container(params: Any, answer: Any, flat: list[float]) -> None:
    assert flatten_gradient(answer, Theta(params)).tolist() == flat


SELECTED: dict[str, Any] = {
    "all entries": spelled("d{}"),
    "the selected entries": {"dW1": W1, "dW2": W2},
    "the selected, by plain name": {"W1": W1, "W2": W2},
    "the selected as a list": [W1, W2],
    "all as a list": [W1, B1, W2, B2],
    "all as a list, None for the others": [W1, None, W2, None],
    "a flat vector of all": FLAT,
    "a flat vector of the selected": np.concatenate([W1.ravel(), W2.ravel()]),
    "rubbish for the others": {"dW1": W1, "db1": "none", "dW2": W2, "db2": 1j},
    "other shapes for the others": {"dW1": W1, "db1": np.ones((7, 7)), "dW2": W2},
}


@pytest.mark.parametrize("answer", SELECTED.values(), ids=SELECTED.keys())
def test_parameters_that_are_left_out_need_no_gradient(answer: Any) -> None:
    theta = Theta(PARAMS, exclude=("b*",))
    gradient = flatten_gradient(answer, theta)
    for parameter in theta.selected:
        np.testing.assert_array_equal(
            gradient[parameter.slice], np.ravel(GRADS[parameter.name]), err_msg=parameter.name
        )


def test_of_parameters_called_x_and_dx_the_selected_one_gets_its_own() -> None:
    theta = Theta({"x": 1.0, "dx": 2.0}, only=("x",))
    assert flatten_gradient({"x": 3.0, "dx": 4.0}, theta)[0] == 3.0


def test_an_excluded_container_needs_no_entry() -> None:
    theta = Theta([{"W": 1.0}, {"W": 2.0}], exclude=("[[]1].W",))
    assert flatten_gradient([{"W": 5.0}, None], theta)[0] == 5.0


REFUSED: dict[str, tuple[Any, Any, str, str]] = {
    "an entry is missing": (
        PARAMS,
        {"dW1": W1, "db1": B1, "dW2": W2},
        "missing-gradient",
        r"no entry for b2 \(looked for 'db2'\); it has dW1, db1, dW2",
    ),
    "an entry is missing beside the parameters": (
        PARAMS,
        {**PARAMS, "dW1": W1, "db1": B1, "dW2": W2},
        "missing-gradient",
        r"no entry for b2 \(looked for 'db2'\)",
    ),
    "two conventions are mixed": (
        PARAMS,
        {"dW1": W1, "db1": B1, "dW2": W2, "grad_b2": B2},
        "missing-gradient",
        r"no entry for b2 \(looked for 'db2'\).*grad_b2.*exclude=",
    ),
    "nothing is returned": (PARAMS, None, "missing-gradient", "is None, where W1, b1, W2, b2"),
    "nothing is returned for an array": (np.zeros(3), None, "missing-gradient", r"None.*\(3,\)"),
    "an empty dict": (PARAMS, {}, "missing-gradient", "no entry for W1.*no entries"),
    "a list is short": (
        PARAMS,
        [W1, B1, W2],
        "missing-gradient",
        r"a list of 3, where there are 4 .*W1, b1, W2, b2.*",
    ),
    "a nested entry is missing": (
        {"enc": {"W": 1.0, "b": 2.0}},
        {"enc": {"W": 1.0}},
        "missing-gradient",
        "entry for enc.b",
    ),
    "a sum is left out": (
        {"W1": np.zeros((5, 3)), "b1": np.zeros((5, 1))},
        {"dW1": np.zeros((5, 3)), "db1": np.zeros((5, 8))},
        "shape-mismatch",
        r"db1 has shape \(5, 8\), where b1 has shape \(5, 1\): it was not summed over the batch"
        r".*axis=1, keepdims=True",
    ),
    "a sum is left out over rows": (
        {"b": np.zeros(5)},
        {"b": np.zeros((8, 5))},
        "shape-mismatch",
        r"\(8, 5\).*\(5,\).*not summed over the batch.*axis=0\)",
    ),
    "a scalar is not summed": (
        {"W": np.zeros(2), "b": 1.0},
        {"W": np.zeros(2), "b": np.zeros(8)},
        "shape-mismatch",
        r"b has shape \(8,\), where b has shape \(\): it was not summed",
    ),
    "transposed": (
        PARAMS,
        {**GRADS, "W1": W1.T},
        "shape-mismatch",
        r"\(3, 2\).*\(2, 3\): it is transposed",
    ),
    "a keepdims is missing": (
        PARAMS,
        {**GRADS, "b1": B1.ravel()},
        "shape-mismatch",
        r"b1 has shape \(2,\).*\(2, 1\).*keepdims=True",
    ),
    "a batch behind was not summed over": (
        PARAMS,
        {**GRADS, "b1": np.zeros((2, 1, 5))},
        "shape-mismatch",
        r"b1 has shape \(2, 1, 5\).*not summed over the batch, np.sum\(…, axis=2\)",
    ),
    "another shape": (
        PARAMS,
        {**GRADS, "W1": np.zeros((4, 4))},
        "shape-mismatch",
        r"W1 .*\(4, 4\).*\(2, 3\)",
    ),
    "one array has another shape": (
        np.zeros((2, 3)),
        np.zeros((3, 2)),
        "shape-mismatch",
        r"theta.*\(3, 2\).*\(2, 3\)",
    ),
    "a vector has another length": (
        PARAMS,
        np.zeros(7),
        "shape-mismatch",
        r"\(7,\).*W1, b1, W2, b2.* 11 components",
    ),
    "the entry of a list has another shape": (
        [np.zeros(2), np.zeros(3)],
        [np.zeros(2), np.zeros(4)],
        "shape-mismatch",
        r"the gradient\[1\] has shape \(4,\), where \[1\] has shape \(3,\)",
    ),
    "a string": (PARAMS, {**GRADS, "W1": "?"}, "nonnumeric-gradient", "W1 .*W1"),
    "complex numbers": (PARAMS, {**GRADS, "W1": W1 + 1j}, "nonnumeric-gradient", "W1 .*complex128"),
    "booleans": (PARAMS, {**GRADS, "W1": W1 > 0}, "nonnumeric-gradient", "W1 .*bool"),
    "a ragged list": (
        PARAMS,
        {**GRADS, "W1": [[1.0], [2.0, 3.0]]},
        "nonnumeric-gradient",
        "W1 .*list",
    ),
    "an object in an entry": (
        PARAMS,
        {**GRADS, "b2": object()},
        "nonnumeric-gradient",
        "b2 .*a object.*floats",
    ),
    "a string for everything": (PARAMS, "gradient", "nonnumeric-gradient", "type str.*W1, b1"),
    "a string for an array": (np.zeros(3), "gradient", "nonnumeric-gradient", "theta"),
}


@pytest.mark.parametrize(
    ("params", "answer", "code", "message"), REFUSED.values(), ids=REFUSED.keys()
)
def test_what_does_not_fit_is_named(params: Any, answer: Any, code: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message) as error:
        flatten_gradient(answer, Theta(params))
    assert error.value.code == code
    assert str(error.value).startswith(f"{code}: ")


def test_the_answer_is_copied_so_that_later_changes_do_not_reach_it() -> None:
    answer = np.arange(3.0)
    gradient = flatten_gradient(answer, Theta(np.zeros(3)))
    answer[:] = 9.0
    assert gradient.tolist() == [0.0, 1.0, 2.0]


shapes = st.lists(st.lists(st.integers(1, 3), max_size=2).map(tuple), min_size=2, max_size=5)
FORMS = ["dict", "d", "grad_", "flat", "column", "list", "tuple", "objects", "first", "namespace"]


@tried(150)
@given(shapes, st.sampled_from(FORMS), st.integers(0, 99))
def test_all_forms_of_an_answer_are_laid_out_alike(
    shapes: list[tuple[int, ...]], form: str, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values: list[Any] = [rng.standard_normal(shape) for shape in shapes]
    by_name = {f"p{i}": value for i, value in enumerate(values)}
    flat = np.concatenate([np.ravel(value) for value in values])
    answers: dict[str, Any] = {
        "dict": by_name,
        "d": {f"d{key}": value for key, value in by_name.items()} | {"dZ": None},
        "grad_": {f"grad_{key}": value for key, value in by_name.items()},
        "flat": flat,
        "column": flat[:, None],
        "list": values,
        "tuple": tuple(values),
        "objects": objects(*values),
        "first": (by_name, 1.0),
        "namespace": SimpleNamespace(**by_name),
    }
    theta = Theta({key: np.zeros_like(value) for key, value in by_name.items()})
    np.testing.assert_array_equal(flatten_gradient(answers[form], theta), flat)


def test_one_vector_of_complex_numbers_is_laid_out_like_theta_or_like_the_selected() -> None:
    params = {"z": np.array([1 + 2j, 3 - 1j]), "x": np.array([0.5])}
    answer = np.array([1 - 1j, 2 + 3j, 4])
    theta = Theta(params)
    assert flatten_gradient(answer, theta).tolist() == [1, -1, 2, 3, 4]
    selected = Theta(params, only=["z"])
    assert flatten_gradient(answer[:2], selected).tolist() == [1, -1, 2, 3, 0]
    with pytest.raises(ProblemError, match="4") as refused:
        flatten_gradient(np.zeros(4, complex), theta)
    assert refused.value.code == "shape-mismatch"


def test_a_tuple_of_complex_numbers_is_the_gradient_of_complex_parameters() -> None:
    theta = Theta(np.array([1 + 2j, 3 - 1j]))
    assert flatten_gradient((1 - 1j, 2 + 3j), theta).tolist() == [1, -1, 2, 3]
    assert flatten_gradient((np.array([1 - 1j, 2 + 3j]), "more"), theta).tolist() == [1, -1, 2, 3]
    assert flatten_gradient((1.0, 2.0), Theta(np.ones(2))).tolist() == [1, 2]
