"""The search for a line, part by part: what it takes for a value, and what values prove."""

from __future__ import annotations

import ast
import math
import runpy
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck.diagnosis.line import _chosen
from pytest_gradcheck.diagnosis.line.marks import Faults, Graph, Marks, leaves_of, numbers_in
from pytest_gradcheck.diagnosis.line.perturb import Cost, Slopes
from pytest_gradcheck.diagnosis.line.recording.foreign import Foreign
from pytest_gradcheck.diagnosis.line.recording.recorder import Recorder
from pytest_gradcheck.diagnosis.line.recording.source import Effect, Sources, Statement
from pytest_gradcheck.diagnosis.line.recording.values import Scope, Value, entries, is_container
from pytest_gradcheck.diagnosis.line.recording.work import may_change
from pytest_gradcheck.diagnosis.line.repair import sight
from pytest_gradcheck.diagnosis.line.repair.sight import is_harmless
from pytest_gradcheck.diagnosis.line.suspects import suspects

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


class Tensor:
    """An array of another framework, by its looks."""

    grad = None

    def __array__(self) -> Any:
        return np.ones(2)


def test_an_array_of_a_framework_that_a_run_is_given_is_none_that_it_makes() -> None:
    """Of those alone the inputs are not known; a gradient that is left in one is its work."""
    given, made = Tensor(), Tensor()
    foreign = Foreign()
    foreign.enter([1.5, {"weights": [given]}], is_outermost=True)
    foreign.make(given)
    foreign.make(made)
    values: list[Value] = []
    assert foreign.read(given, values) == set()
    assert foreign.read(made, values) == {0}
    assert foreign.read(given, values, "grad") == {1}


# What a run records


def recorded(
    folder: Path, source: str, name: str, sources: Sources
) -> tuple[Recorder, Callable[[], Any]]:
    """Return the record of a run of a function of a user's module, and the call."""
    file = folder / "of_a_user.py"
    file.write_text(source)
    function = runpy.run_path(str(file))[name]
    recorder = Recorder(sources, math.inf)
    x = np.array([0.3, -0.5, 0.8])
    recorder.run(lambda: function(x))
    recorder.finish()
    assert recorder.failure is None
    return recorder, lambda: function(x)


ROWS = """
import numpy as np

def grad(x):
    rows = np.zeros((2, 3))
    rows[1] = 2 * x
    return rows
"""


def test_a_row_is_a_value_that_is_written_into_an_array(tmp_path: Path) -> None:
    recorder, _ = recorded(tmp_path, ROWS, "grad", Sources())
    (row,) = (value for value in recorder.values if value.region is not None)
    assert row.text == "rows[1]"
    assert row.inplace
    assert row.array is not None
    assert row.array.tolist() == [0.6, -1.0, 1.6]


HELPERS = """
import numpy as np

def note():
    '''A function that says what is to come.'''

def fill(out, x):
    out[:] = np.cos(x)

def grad(x):
    note()
    out = np.zeros(3)
    fill(out, x)
    return out
"""


def test_functions_that_return_nothing_have_no_statement_that_returns(tmp_path: Path) -> None:
    recorder, _ = recorded(tmp_path, HELPERS, "grad", Sources())
    assert {statement.text for statement in recorder.exits.values()} == {"return out"}
    assert {code.co_name for code in recorder.exits if code is not None} == {"grad"}


CHAINED = """
import numpy as np

def cost(x):
    a = b = 2 * x
    return np.sum(np.sin(a)) + 3 * np.sum(b)
"""


def test_a_value_is_moved_under_all_names_that_its_statement_gives_it(tmp_path: Path) -> None:
    sources = Sources()
    recorder, call = recorded(tmp_path, CHAINED, "cost", sources)
    (both,) = (value for value in recorder.values if {("a", None), ("b", None)} <= value.names)
    assert both.array is not None
    slope = Slopes(Cost(call, call(), 1e-15), sources, math.inf, 2).ask(both, 0)
    due = float(np.sum((np.cos(both.array) + 3) * slope.direction))
    assert abs(slope.value - due) <= slope.error_bar + 1e-6 * abs(due)


# Which statements are named


def test_where_wrong_values_share_no_statement_those_that_are_certainly_wrong_do() -> None:
    """Others may be wrong by their names alone, which may mislead."""
    lines = [Statement("net.py", n, n, tuple(ast.parse("a = 2 * b").body), ()) for n in (1, 2)]
    graph = Graph([replace(value(n), statement=line) for n, line in enumerate(lines)])
    nothing: frozenset[int] = frozenset()
    marks = Marks(
        right=nothing,
        wrong=frozenset([0, 1]),
        certain=frozenset([1]),
        returned=nothing,
        shown=nothing,
    )
    found = suspects(graph, marks, blameable=0b11, foreign=0, callers=lambda _: ())
    assert found.statements == (lines[1],)


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


def test_a_function_of_an_installed_package_is_given_no_edited_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It may hand it to compiled code that does not check it, and the process may end."""

    class Loss:
        def loss(self, x: float) -> float:
            return x

    scope = Scope.of({"at": each, "loss": Loss(), "x": 1.0, "np": np}, {})
    calls = [ast.parse(text, mode="eval").body for text in ("at(x)", "loss.loss(x)", "np.exp(x)")]
    assert [is_harmless(call, scope) for call in calls] == [True, True, True]
    monkeypatch.setattr(sight, "FOREIGN", (__file__,))
    assert [is_harmless(call, scope) for call in calls] == [False, False, True]


def each(x: float) -> float:
    return x
