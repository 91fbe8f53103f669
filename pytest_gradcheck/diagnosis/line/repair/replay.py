"""Run the rest of a function again with another value for a statement, from what was recorded.

What a statement computes mostly ends, a few statements on, in a value that is known: a part of the
gradient, or the derivative of something that was differenced. To run those few again takes no call
of the user's function, so that many edits can be sorted out before any is tried.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.line.recording import clock
from pytest_gradcheck.diagnosis.line.recording.source import Sources, Statement
from pytest_gradcheck.diagnosis.line.recording.tracing import Activation, Tracer
from pytest_gradcheck.diagnosis.line.recording.values import COMPONENTS, MISSING, Scope, Value
from pytest_gradcheck.diagnosis.line.recording.values import entry as entry_of
from pytest_gradcheck.diagnosis.line.repair.edits import is_harmless
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["Event", "Known", "Script"]

EVENTS = 4_000
"""Statements that are kept."""

BYTES = 50_000_000
"""Bytes of arrays that are copied."""

ASKED = 200
"""Times that a value is asked whether it depends on another."""

SHIFT = 1e-3
"""By what part that one is moved."""

SEEN = 1e-5
"""Part of a value from which on a change of it is seen."""

VALUE = "_the_value_of"
"""Stands for what a statement evaluates."""

GROWING = ("append", "extend", "insert")
"""Methods that change a list, of which there is a copy by then."""


@dataclass(frozen=True)
class Known:
    """What the value of a statement has to be.

    Attributes
    ----------
    execution : int
        How often the statement has run by then.
    entry : object
        In a return of several values, the place of this one.
    agrees : callable
        Whether an array is it, or None where that cannot be said.
    due : array or None
        What it has to be, flat.
    order : str
        In which order.
    part : slice
        Which part of the gradient that is.
    """

    execution: int
    entry: object
    agrees: Callable[[FloatArray], bool | None]
    due: FloatArray | None = None
    order: Literal["C", "F"] = "C"
    part: slice | None = None


@dataclass(frozen=True, eq=False)
class Event:
    """One execution of a statement, and the names that it sees."""

    statement: Statement
    code: CodeType
    execution: int
    outer: dict[str, Any]
    names: dict[str, Any]

    def space(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return all names, some of them with other values."""
        return {**self.outer, **self.names, **changed}


@dataclass(frozen=True)
class _Plan:
    """What a statement does with names; `code` is None where it cannot be run again.

    Attributes
    ----------
    reads, binds, changes : frozenset of str
        Names that it reads, that it assigns, and whose objects it may write into.
    code, store : code or None
        The whole of it; and to put a value where it puts its own.
    targets : tuple of code
        What it has written.
    returns, branches : bool
        Whether it is a return, and the head of a block.
    """

    reads: frozenset[str]
    binds: frozenset[str]
    changes: frozenset[str]
    code: CodeType | None
    store: CodeType | None
    targets: tuple[CodeType, ...] = ()
    returns: bool = False
    branches: bool = False


class Script(Tracer):
    """Records a run statement by statement, from the first of some statements on.

    Parameters
    ----------
    sources : Sources
    until : float
    wanted : sequence of Statement
    known : mapping
        Of statements, what is known of their values. Without any, no more names are kept than a
        statement reads.
    """

    def __init__(
        self,
        sources: Sources,
        until: float,
        wanted: Sequence[Statement],
        known: Mapping[Statement, Sequence[Known]],
    ) -> None:
        super().__init__(sources, until)
        self._wanted, self._known = set(wanted), known
        self._functions = {id(sources.function_around(s)) for s in wanted}
        self._runs: dict[int, list[Event]] = {}
        self._plans: dict[Statement, _Plan] = {}
        self._stored: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self._harmless: dict[Statement, bool] = {}
        self._ends: list[tuple[FloatArray, Known]] = []
        self._is_patient = False
        self._dependent: dict[tuple[int, int], bool] = {}
        self._events_at: dict[tuple[Statement | None, int], Event] = {}
        self._count = self._bytes = 0

    def started(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Keep the names that a statement sees."""
        function = self.sources.function_around(statement)
        is_wanted = statement in self._wanted
        if id(function) not in self._functions or self._count >= EVENTS:
            return
        if activation.serial not in self._runs and not is_wanted:
            return
        self._count += 1
        scope, plan = Scope(frame), self._plan(statement)
        in_sight = is_wanted and bool(self._known)
        seen = scope.names if in_sight else sorted(plan.reads | plan.changes)
        written, _ = self._written(function)
        names = {
            name: self._kept(scope.names[name]) if name in written else scope.names[name]
            for name in seen
            if name in scope.names
        }
        event = Event(statement, activation.code, activation.execution, frame.f_globals, names)
        self._runs.setdefault(activation.serial, []).append(event)
        self._events_at[statement, activation.execution] = event

    def events(self, statement: Statement) -> list[Event]:
        """Return the executions of a statement."""
        return [e for run in self._runs.values() for e in run if e.statement is statement]

    def passes(self, statement: Statement, code: CodeType) -> bool | None:
        """Return whether known values come out right with another value for a statement.

        None where none is met.
        """
        found: bool | None = None
        for run in self._runs.values():
            if any(event.statement is statement for event in run):
                answer = self._passes(run, statement, code)
                if answer is False:
                    return False
                found = answer or found
        return found

    def depends(self, value: Value, read: Value) -> bool:
        """Return whether a value changes with one that it is made of, as far as can be told."""
        key = value.number, read.number
        if key not in self._dependent:
            spent = len(self._dependent) >= ASKED or clock.now() > self._until
            self._dependent[key] = spent or self._depends(value, read)
        return self._dependent[key]

    def _depends(self, value: Value, read: Value) -> bool:
        node, event = value.expression, self._events_at.get((value.statement, value.execution))
        if node is None or event is None or read.array is None:
            return True
        names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        mine = [
            name for name in names if np.array_equal(event.names.get(name, MISSING), read.array)
        ]
        if len(mine) != 1 or not self._is_harmless(event):
            return True
        moved = read.array * (1 + SHIFT * stream("replay", 0).random(read.array.shape))
        try:
            code = compile(ast.unparse(node), "<replay>", "eval")
            here, there = (
                np.asarray(eval(code, event.space(changed)), np.float64)
                for changed in ({}, {mine[0]: moved})
            )
        except Exception:
            return True
        near = SHIFT * SEEN * float(np.max(np.abs(here), initial=0.0))
        return here.shape != there.shape or bool(np.any(np.abs(there - here) > near))

    def ends(self, statement: Statement, code: CodeType) -> tuple[FloatArray, FloatArray] | None:
        """Return the known parts of the gradient that another value leads to, and those due."""
        self._ends.clear()
        self._is_patient = True
        self.passes(statement, code)
        self._is_patient = False
        if not self._ends:
            return None
        values, due = [value for value, _ in self._ends], [known.due for _, known in self._ends]
        return np.concatenate(values), np.concatenate([array for array in due if array is not None])

    def heals(self, statement: Statement, code: CodeType, is_wrong: npt.NDArray[np.bool_]) -> bool:
        """Return whether all parts of the gradient that are wrong come out right."""
        self._ends.clear()
        left = is_wrong.copy()
        is_right = self.passes(statement, code)
        for _, known in self._ends:
            if known.part is not None:
                left[known.part] = False
        return bool(is_right and not left.any())

    def _passes(self, run: Sequence[Event], statement: Statement, code: CodeType) -> bool | None:
        changed: dict[str, Any] = {}
        found: bool | None = None
        for event in run:
            plan, is_edited = self._plan(event.statement), event.statement is statement
            if not is_edited and changed.keys().isdisjoint(plan.reads | plan.changes):
                for name in plan.binds:
                    changed.pop(name, None)
                continue
            if plan.branches and not is_edited:
                break  # it may go another way
            if (plan.store if is_edited else plan.code) is None:
                break
            if not (is_edited or self._is_harmless(event)):
                break
            space = self._run(event, plan, code if is_edited else None, changed)
            if space is None:
                return False
            mine = plan.binds | plan.changes
            changed.update({n: value for n, value in space.items() if n in mine})
            answer = self._answer(event, plan, space)
            if answer is False and not self._is_patient:
                return False
            found = answer or found
        return found

    def _run(
        self, event: Event, plan: _Plan, code: CodeType | None, changed: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        space = event.space(changed)
        for name in plan.changes & space.keys():
            space[name] = self._kept(space[name])
        try:
            if code is None:
                assert plan.code is not None
                exec(plan.code, space)
            else:
                assert plan.store is not None
                space[VALUE] = eval(code, space)
                exec(plan.store, space)
        except Exception:
            return None
        return space

    def _is_harmless(self, event: Event) -> bool:
        """Return whether a statement may run another time."""
        if event.statement not in self._harmless:
            scope = Scope.of(event.names, event.outer)
            values = [effect.value for effect in event.statement.effects]
            self._harmless[event.statement] = all(
                value is None or _grows(value, scope) or is_harmless(value, scope)
                for value in values
            )
        return self._harmless[event.statement]

    def _answer(self, event: Event, plan: _Plan, space: dict[str, Any]) -> bool | None:
        found: bool | None = None
        for known in self._known.get(event.statement, ()):
            if known.execution != event.execution:
                continue
            for value in _values(plan, space, known.entry):
                answer = known.agrees(value)
                if known.due is not None and value.size == known.due.size:
                    self._ends.append((value.ravel(known.order), known))
                if answer is False and not self._is_patient:
                    return False
                if answer:
                    found = True
                    break
        return found

    def _kept(self, value: Any) -> Any:
        """Return a copy of what may be written into."""
        if isinstance(value, np.ndarray) and value.size <= COMPONENTS:
            self._bytes += value.nbytes
            if self._bytes > BYTES:
                raise OverflowError("too many values")
            return value.copy()
        if isinstance(value, dict):
            return {key: self._kept(item) for key, item in value.items()}
        return [self._kept(item) for item in value] if type(value) is list else value

    def _written(self, function: ast.AST | None) -> tuple[frozenset[str], frozenset[str]]:
        """Return the names whose objects a function writes into, and attributes that it sets."""
        if id(function) not in self._stored:
            parts = [] if function is None else list(ast.walk(function))
            names = frozenset(name for part in parts for name in _changes(part))
            attributes = frozenset(
                part.attr
                for part in parts
                if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
            )
            self._stored[id(function)] = names, attributes
        return self._stored[id(function)]

    def _plan(self, statement: Statement) -> _Plan:
        if statement not in self._plans:
            _, attributes = self._written(self.sources.function_around(statement))
            self._plans[statement] = _planned(statement, attributes)
        return self._plans[statement]


def _grows(value: ast.expr, scope: Scope) -> bool:
    """Return whether an expression adds to a list, and does nothing else."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    is_list = isinstance(scope.resolve(value.func.value), list)
    plain = all(is_harmless(argument, scope) for argument in value.args)
    return is_list and value.func.attr in GROWING and plain


def _values(plan: _Plan, space: dict[str, Any], entry: object) -> Iterator[FloatArray]:
    """Yield what a statement has left: in its targets, or as an entry of what it returns."""
    for code in plan.targets:
        try:
            value = eval(code, space)
            found = np.asarray(
                entry_of(value, entry) if plan.returns and entry is not None else value, np.float64
            )
        except Exception:
            continue
        yield found


def _planned(statement: Statement, attributes: frozenset[str]) -> _Plan:
    """Return the plan of a statement; `attributes` are those that its function sets."""
    heads = tuple(_head(statement.nodes[0]))
    parts = [part for node in heads or statement.nodes for part in ast.walk(node)]
    names = [part for part in parts if isinstance(part, ast.Name)]
    reads = frozenset(name.id for name in names if isinstance(name.ctx, ast.Load))
    binds = frozenset(name.id for name in names if isinstance(name.ctx, ast.Store))
    changes = frozenset(name for part in parts for name in _changes(part))
    if heads or not isinstance(statement.nodes[0], SIMPLE):
        return _Plan(reads, binds, changes, None, None, branches=True)
    touched = (p for p in parts if isinstance(p, ast.Attribute))
    if any(isinstance(p.ctx, ast.Store) or p.attr in attributes for p in touched):
        return _Plan(reads, binds, changes, None, None)
    node = statement.nodes[0]
    alone = len(statement.nodes) == 1
    targets = _targets(node)
    store: ast.stmt | None = None
    body: list[ast.stmt] = list(statement.nodes)
    value = ast.Name(VALUE, ast.Load())
    if isinstance(node, ast.Return):
        store = ast.Pass()
        body = [ast.Assign([ast.Name(VALUE, ast.Store())], node.value or ast.Constant(None))]
    elif targets:
        store = ast.Assign(list(targets), value)
    checked = [base for target in targets for base in _with_base(target)]
    if isinstance(node, ast.Expr):
        checked = [ast.Name(name, ast.Load()) for name in changes]
    elif isinstance(node, ast.Return):
        checked = [value]
    return _Plan(
        reads,
        binds,
        changes,
        _compiled(body),
        _compiled([store]) if alone and store is not None else None,
        tuple(_expression(target) for target in checked),
        returns=isinstance(node, ast.Return),
    )


SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr, ast.Pass)


def _head(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, (ast.For, ast.AsyncFor)):
        yield from (node.target, node.iter)
    elif isinstance(node, (ast.If, ast.While)):
        yield node.test
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        yield from node.items


def _targets(node: ast.stmt) -> tuple[ast.expr, ...]:
    if isinstance(node, ast.Assign):
        return tuple(node.targets)
    return (node.target,) if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else ()


def _with_base(target: ast.expr) -> Iterator[ast.expr]:
    """Yield the array that a target is a part of, and the target."""
    if isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            yield from _with_base(part)
        return
    if isinstance(target, ast.Subscript):
        yield target.value
    yield target


def _changes(part: ast.AST) -> Iterator[str]:
    """Yield the names whose objects a part of a program may write into."""
    if isinstance(part, ast.AugAssign):
        yield from _base(part.target)
    elif isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
        yield from _base(part)
    elif isinstance(part, ast.keyword) and part.arg == "out":
        yield from _base(part.value)
    elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
        call = part.value
        for node in (*call.args, call.func.value if isinstance(call.func, ast.Attribute) else None):
            yield from _base(node)


def _base(node: ast.AST | None) -> Iterator[str]:
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id


def _compiled(body: Sequence[ast.stmt]) -> CodeType:
    module = ast.Module([_copied(node) for node in body], [])
    return compile(ast.fix_missing_locations(module), "<replay>", "exec")


def _copied(node: ast.stmt) -> ast.stmt:
    return ast.parse(ast.unparse(ast.fix_missing_locations(node))).body[0]


def _expression(target: ast.expr) -> CodeType:
    return compile(ast.unparse(target), "<replay>", "eval")
