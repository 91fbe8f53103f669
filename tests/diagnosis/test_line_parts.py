"""The search for a line, part by part: what it takes for a value, and what values prove."""

from __future__ import annotations

import ast
from collections.abc import Collection
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.diagnosis.line import _chosen
from pytest_gradcheck.diagnosis.line.marks import Faults, Graph, leaves_of, numbers_in
from pytest_gradcheck.diagnosis.line.recording.source import Effect
from pytest_gradcheck.diagnosis.line.recording.values import Scope, Value, entries, is_container
from pytest_gradcheck.diagnosis.line.recording.work import may_change

HERE = (lambda: None).__code__


def value(number: int, *reads: int, array: Any = None) -> Value:
    """Return a value that some others were made into."""
    return Value(number, None, 0, HERE, None, f"v{number}", set(), (), set(reads), array)


# What values prove


@pytest.mark.parametrize(
    ("stops", "proven"), [((), {0, 1, 2, 3}), ((2,), {0, 3, 1}), ((1,), {0, 2, 3})]
)
def test_a_right_value_proves_what_it_is_made_of_but_for_what_is_known_to_be_wrong(
    stops: Collection[int], proven: set[int]
) -> None:
    graph = Graph([value(0), value(1), value(2), value(3, 0, 1, 2)])
    assert set(numbers_in(graph.proven_by([3], stops))) == proven


@pytest.mark.parametrize("factor", [-1.0, 2.5])
def test_a_multiple_of_the_gradient_is_wrong_by_the_same_factor_as_that(factor: float) -> None:
    """Forces are minus the gradient, and both are three times what they should be."""
    part = np.array([1.0, -2.0, 3.0])
    gradient = factor * part
    faults = Faults(
        gradient, gradient / 3, np.zeros(3), np.full(3, True), np.full(3, True), {0: ""}
    )
    values = [value(0, array=part)]
    leaf = leaves_of(values, Graph(values), faults)[0]
    assert not leaf.is_right
    assert leaf.scale == pytest.approx(factor)
    assert leaf.ratio == pytest.approx(3.0)


# What holds values


class Slotted:
    __slots__ = ("a", "b")


class Empty:
    pass


def test_an_object_holds_values_though_it_has_none_yet() -> None:
    slotted, empty = Slotted(), Empty()
    assert is_container(slotted)
    assert is_container(empty)
    assert entries(slotted) == entries(empty) == ("attribute", [])
    slotted.b = empty.c = 1.5  # type: ignore[attr-defined]
    assert entries(slotted) == ("attribute", [("b", 1.5)])
    assert entries(empty) == ("attribute", [("c", 1.5)])
    assert not is_container(np.ones(2))
    assert not is_container(1.5)


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("np.exp(a, out=b)", ["b", "a"]),
        ("c = np.exp(a, out=b)", ["b"]),
        ("c = 2 * np.exp(a, out=b)", ["b"]),
        ("c = [a, np.exp(a, out=b) + np.tanh(b, out=a)]", ["b", "a"]),
        ("c = 2 * a", []),
    ],
)
def test_a_call_writes_into_its_out_wherever_it_stands_on_a_line(
    line: str, written: list[str]
) -> None:
    """A call that is the whole line may also write into its arguments."""
    (statement,) = ast.parse(line).body
    assert isinstance(statement, (ast.Expr, ast.Assign))
    target = statement.targets[0] if isinstance(statement, ast.Assign) else None
    arrays = {"a": np.ones(2), "b": np.zeros(2), "np": SimpleNamespace()}
    found = may_change(Effect(target, statement.value), Scope.of(arrays, {}))
    names = [name for array in found for name, known in arrays.items() if known is array]
    assert names == written


# Which statements are named


@dataclass(frozen=True)
class Line:
    line: int
    is_idle: bool = False


@pytest.mark.parametrize(
    ("rank", "line", "chosen"), [(5, 7, ()), (3, 7, (2, 4)), (5, 3, (2, 4)), (6, 7, ())]
)
def test_no_statement_is_named_where_one_elsewhere_is_as_likely(
    rank: int, line: int, chosen: tuple[int, ...]
) -> None:
    lines = Line(2), Line(4)
    found: Any = SimpleNamespace(
        ranks={lines[0]: 4, lines[1]: 4, Line(line): rank}, statements=lines, proven=set()
    )
    told: Any = _chosen(found, ())
    assert tuple(one.line for one in told) == chosen
