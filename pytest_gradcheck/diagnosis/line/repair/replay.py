"""Run the rest of a function again from recorded values, with another value for a statement.

The value of a statement mostly leads, a few statements later, to a value that is known: a part of
the numerical gradient, or a derivative that was differenced. Running these few statements again
takes no call of the user's function. Many edits can so be rejected before any is tried. Where the
function returns, its caller's statements are run again.
"""

from __future__ import annotations

import ast
from collections import defaultdict
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
from pytest_gradcheck.diagnosis.line.recording.work import arguments_of
from pytest_gradcheck.diagnosis.line.repair.calls import RETURNED, standing_in
from pytest_gradcheck.diagnosis.line.repair.edits import (
    Edit,
    root_of,
    written_by,
)
from pytest_gradcheck.diagnosis.line.repair.plans import VALUE, Plan, planned, storing
from pytest_gradcheck.diagnosis.line.repair.sight import InSight, in_sight, is_harmless
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["Event", "Known", "Script"]

EVENTS = 4_000
"""Executions of statements that are recorded."""

BYTES = 50_000_000
"""Bytes of arrays that are copied."""

ASKED = 200
"""Questions whether a value depends on another that are answered."""

SHIFT = 1e-3
"""Relative change of the other value."""

SEEN = 1e-5
"""Relative change that counts as one, as a fraction of that change."""


GROWING = ("append", "extend", "insert")
"""Methods that may run again, because their list is a copy."""


@dataclass(frozen=True)
class Known:
    """The condition that the value of a statement has to meet.

    Attributes
    ----------
    execution : int
        The number of times that the statement has run by then.
    entry : object
        Its position among several values that are returned.
    agrees : callable
        Whether an array meets the condition, or None if unknown.
    due : array or None
        The right value, flat.
    order : str
        Its memory order.
    part : slice
        Its part of the gradient.
    target : str
        The source of the target.
    is_row : bool
        Whether it is a row of an array.
    """

    execution: int
    entry: object
    agrees: Callable[[FloatArray], bool | None]
    due: FloatArray | None = None
    order: Literal["C", "F"] = "C"
    part: slice | None = None
    target: str = ""
    is_row: bool = False


@dataclass(frozen=True, eq=False)
class Event:
    """One execution of a statement, and the names that it sees."""

    statement: Statement
    code: CodeType
    execution: int
    outer: dict[str, Any]
    names: dict[str, Any]

    def space(self, changed: Mapping[str, Any]) -> dict[str, Any]:
        """Return all names, with some values replaced."""
        return {**self.outer, **self.names, **changed}


class Script(Tracer):
    """Records the statements of a run that follow some statements, with the names that they see.

    Parameters
    ----------
    sources : Sources
    until : float
    wanted : sequence of Statement
    known : mapping
        The conditions that values have to meet. Without any, only names that a statement reads
        are recorded.
    rounds_before : callable
        Returns, for each execution of a statement, the first execution that it depends on.
    callers : sequence of Statement
        Statements that call the functions of the wanted statements.
    """

    def __init__(
        self,
        sources: Sources,
        until: float,
        wanted: Sequence[Statement],
        known: Mapping[Statement, Sequence[Known]],
        rounds_before: Callable[[Statement], Mapping[int, int]] = lambda statement: {},
        callers: Sequence[Statement] = (),
    ) -> None:
        super().__init__(sources, until)
        self._wanted, self._callers, self._known = set(wanted), set(callers), known
        self._functions = {id(sources.function_around(s)) for s in (*wanted, *callers)}
        self._called: dict[int, tuple[int, Statement | None, int]] = {}
        self._callees: dict[Event, list[int]] = defaultdict(list)
        self._standing_in: dict[tuple[Event, CodeType], CodeType | None] = {}
        self._runs: dict[int, list[Event]] = {}
        self._plans: dict[Statement, Plan] = {}
        self._stored: dict[int, tuple[frozenset[str], frozenset[str]]] = {}
        self._harmless: dict[Statement, bool] = {}
        self._ends: list[tuple[FloatArray, Known]] = []
        self._is_patient = False
        self._dependent: dict[tuple[int, int], bool] = {}
        self._events_at: dict[tuple[Statement | None, int], Event] = {}
        self._in_sight: dict[Event, InSight] = {}
        self._rounds_before = rounds_before
        self._chosen: dict[Statement, dict[int, Sequence[Event]]] = {}
        self._calls: dict[Statement, frozenset[Event]] = {}
        self._count = self._bytes = 0

    def entered(self, activation: Activation, frame: FrameType) -> None:
        """Record the calling statement."""
        below = self.caller(frame)
        if below is not None:
            self._called[activation.serial] = (below.serial, below.statement, below.execution)

    def started(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Record the names that a statement sees."""
        function = self.sources.function_around(statement)
        is_wanted = statement in self._wanted
        if id(function) not in self._functions or self._count >= EVENTS:
            return
        begins = is_wanted or statement in self._callers
        if activation.serial not in self._runs and not begins:
            return
        self._count += 1
        scope, plan = Scope(frame), self._plan(statement)
        in_sight = is_wanted and bool(self._known)
        seen = scope.names if in_sight else sorted(plan.reads | plan.changes)
        written, _ = self.written(function)
        if statement.is_return:  # the caller may write into the returned arrays
            written = written | plan.reads
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

    def in_sight(self, event: Event) -> InSight:
        """Return the numbers and arrays that a statement sees."""
        if event not in self._in_sight:
            function = self.sources.function_around(event.statement)
            self._in_sight[event] = in_sight(function, Scope.of(event.names, event.outer))
        return self._in_sight[event]

    def passes(self, statement: Statement, edit: Edit) -> bool | None:
        """Return whether an edit of a statement makes known values right.

        None where no known value depends on it.
        """
        found: bool | None = None
        first = min(self._runs_of(statement), default=0)
        for serial, run in self._runs_of(statement).items():
            answer, value = self._replayed(run, statement, edit, {})
            found = answer or found
            # The caller of a later call may also read results of earlier calls, without the edit.
            while answer is not False and value is not MISSING and serial == first:
                above = self._above(serial, run[0].code)
                if above is None:
                    break
                serial, run, calling = above
                first = serial
                answer, value = self._replayed(
                    run, run[0].statement, calling, {RETURNED: value}, (statement, edit)
                )
                found = answer or found
            if answer is False:
                return False
        return found

    def _runs_of(self, statement: Statement) -> Mapping[int, Sequence[Event]]:
        """Return the calls of a statement's function that do not depend on the statement."""
        if statement not in self._chosen:
            before = self._rounds_before(statement)
            self._chosen[statement] = chosen = {}
            for serial, run in self._runs.items():
                mine = [event.execution for event in run if event.statement is statement]
                if mine and all(before.get(number, number) >= mine[0] for number in mine):
                    first = next(n for n, e in enumerate(run) if e.statement is statement)
                    chosen[serial] = run[first:]
        return self._chosen[statement]

    def _above(self, serial: int, callee: CodeType) -> tuple[int, Sequence[Event], Edit] | None:
        """Return the rest of the caller's run, and an edit that replaces the returned value."""
        below, statement, execution = self._called.get(serial, (0, None, 0))
        event = self._events_at.get((statement, execution))
        if event is None or event not in self._runs.get(below, ()):
            return None
        key = event, callee
        if key not in self._standing_in:
            scope = Scope.of(event.names, event.outer)
            self._standing_in[key] = standing_in(event.statement, callee, scope)
        code = self._standing_in[key]
        run = self._runs[below]
        return code and (below, run[run.index(event) :], Edit(0, code, str))

    def _calling(self, statement: Statement) -> frozenset[Event]:
        """Return the events that call the function of a statement, directly or indirectly."""
        if statement not in self._calls:
            found: set[Event] = set()
            for serial, run in self._runs.items():
                at = serial if any(event.statement is statement for event in run) else 0
                while at in self._called:
                    at, caller, execution = self._called[at]
                    if (caller, execution) in self._events_at:
                        found.add(self._events_at[caller, execution])
            self._calls[statement] = frozenset(found)
        return self._calls[statement]

    def depends(self, value: Value, read: Value) -> bool:
        """Return whether a value depends on an input; True where that is not known."""
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

    def ends(self, statement: Statement, edit: Edit) -> tuple[FloatArray, FloatArray] | None:
        """Return the known parts of the gradient with an edit, and their right values."""
        self._ends.clear()
        self._is_patient = True
        self.passes(statement, edit)
        self._is_patient = False
        if not self._ends:
            return None
        values, due = [value for value, _ in self._ends], [known.due for _, known in self._ends]
        return np.concatenate(values), np.concatenate([array for array in due if array is not None])

    def heals(self, statement: Statement, edit: Edit, is_wrong: npt.NDArray[np.bool_]) -> bool:
        """Return whether an edit makes all wrong parts of the gradient right."""
        self._ends.clear()
        left = is_wrong.copy()
        is_right = self.passes(statement, edit)
        for _, known in self._ends:
            if known.part is not None:
                left[known.part] = False
        return bool(is_right and not left.any())

    def _replayed(
        self,
        run: Sequence[Event],
        statement: Statement,
        edit: Edit,
        changed: dict[str, Any],
        inner: tuple[Statement, Edit] | None = None,
    ) -> tuple[bool | None, Any]:
        """Return whether known values are right, and the new return value of the function.

        The latter is MISSING where it does not change, or where more than it changes. `inner` is an
        edit within a function that other statements may call again.
        """
        found: bool | None = None
        written: set[str] = set()
        calls = frozenset[Event]() if inner is None else self._calling(inner[0])
        for event in run:
            plan, is_edited = self._plan(event.statement), event.statement is statement
            if inner is not None and event in calls and event is not run[0]:
                answer, value, calling = self._called_again(event, inner, changed)
                if answer is False or calling is None:
                    return (found if answer is not False else False), MISSING
                found, edit, is_edited = answer or found, calling, True
                changed[RETURNED] = value
            if not is_edited and changed.keys().isdisjoint(plan.touched):
                for name in plan.binds:
                    changed.pop(name, None)
                continue
            if plan.branches and not is_edited:
                break  # another branch may be taken
            if (plan.store if is_edited else plan.code) is None:
                break
            if not (is_edited or self._is_harmless(event)):
                break
            space = self._run(event, plan, edit if is_edited else None, changed)
            if space is None:
                return False, MISSING
            mine = plan.binds | plan.changes
            if is_edited and edit.target is not None:
                mine |= frozenset(root_of(edit.target))
            written |= mine - plan.binds
            changed.update({n: value for n, value in space.items() if n in mine})
            answer = self._answer(event, plan, space, edit.target is not None)
            if answer is False and not self._is_patient:
                return False, MISSING
            found = answer or found
            if plan.returns:
                own = written.isdisjoint(arguments_of(event.code) + event.code.co_freevars)
                return found, space[VALUE] if own else MISSING
        return found, MISSING

    def _called_again(
        self, event: Event, inner: tuple[Statement, Edit], changed: Mapping[str, Any]
    ) -> tuple[bool | None, Any, Edit | None]:
        """Return whether known values are right in a further call, its value, and its edit.

        The edit is None where that is not known.
        """
        if not self._callees:
            for serial, (_, caller, execution) in self._called.items():
                if (caller, execution) in self._events_at:
                    self._callees[self._events_at[caller, execution]].append(serial)
        serials, plan = self._callees[event], self._plan(event.statement)
        run = self._runs.get(serials[0], []) if len(serials) == 1 else []
        start = next((n for n, e in enumerate(run) if e.statement is inner[0]), None)
        if start is None or plan.store is None or not changed.keys().isdisjoint(plan.reads):
            return None, MISSING, None
        answer, value = self._replayed(run[start:], *inner, {})
        above = None if value is MISSING else self._above(serials[0], run[0].code)
        return answer, value, above and above[2]

    def _run(
        self, event: Event, plan: Plan, edit: Edit | None, changed: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        space = event.space(changed)
        other = None if edit is None else edit.target
        for name in plan.changes.union(root_of(other)) & space.keys():
            space[name] = self._kept(space[name])
        try:
            if edit is None:
                assert plan.code is not None
                exec(plan.code, space)
            else:
                assert plan.store is not None
                space[VALUE] = eval(edit.code, space)
                exec(plan.store if other is None else storing(ast.unparse(other)), space)
        except Exception:
            return None
        return space

    def _is_harmless(self, event: Event) -> bool:
        """Return whether a statement may run again."""
        if event.statement not in self._harmless:
            scope = Scope.of(event.names, event.outer)
            values = [effect.value for effect in event.statement.effects]
            self._harmless[event.statement] = all(
                value is None or _grows(value, scope) or is_harmless(value, scope)
                for value in values
            )
        return self._harmless[event.statement]

    def _answer(
        self, event: Event, plan: Plan, space: dict[str, Any], elsewhere: bool
    ) -> bool | None:
        """Return whether known values are right; `elsewhere`: the edit changes the target."""
        found: bool | None = None
        for known in self._known.get(event.statement, ()):
            if known.execution != event.execution or (elsewhere and known.is_row):
                continue
            for value in _values(plan, space, known):
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
        """Return a copy of an object that may be written into."""
        if isinstance(value, np.ndarray) and value.size <= COMPONENTS:
            self._bytes += value.nbytes
            if self._bytes > BYTES:
                raise OverflowError("too many values")
            return value.copy()
        if isinstance(value, dict):
            return {key: self._kept(item) for key, item in value.items()}
        return [self._kept(item) for item in value] if type(value) is list else value

    def written(self, function: ast.AST | None) -> tuple[frozenset[str], frozenset[str]]:
        """Return names whose objects a function may write into, and attributes it assigns."""
        if id(function) not in self._stored:
            self._stored[id(function)] = written_by(function)
        return self._stored[id(function)]

    def _plan(self, statement: Statement) -> Plan:
        if statement not in self._plans:
            _, attributes = self.written(self.sources.function_around(statement))
            self._plans[statement] = planned(statement, attributes)
        return self._plans[statement]


def _grows(value: ast.expr, scope: Scope) -> bool:
    """Return whether an expression only adds to a list."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return False
    is_list = isinstance(scope.resolve(value.func.value), list)
    plain = all(is_harmless(argument, scope) for argument in value.args)
    return is_list and value.func.attr in GROWING and plain


def _values(plan: Plan, space: dict[str, Any], known: Known) -> Iterator[FloatArray]:
    """Yield the values of a statement's targets, or of an entry that it returns."""
    is_entry = plan.returns and known.entry is not None
    for target, code in plan.targets:
        if target and known.target and target != known.target:
            continue
        try:
            value = eval(code, space)
            found = np.asarray(entry_of(value, known.entry) if is_entry else value, np.float64)
        except Exception:
            continue
        yield found
