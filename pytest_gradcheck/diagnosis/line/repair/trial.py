"""Run the gradient with edits of statements, and compare it with the numerical gradient."""

from __future__ import annotations

import ast
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from pytest_gradcheck.diagnosis.line.marks import Faults
from pytest_gradcheck.diagnosis.line.perturb import put
from pytest_gradcheck.diagnosis.line.recording import clock
from pytest_gradcheck.diagnosis.line.recording.source import Sources, Statement
from pytest_gradcheck.diagnosis.line.recording.tracing import Activation, Tracer
from pytest_gradcheck.diagnosis.line.recording.values import MISSING, Scope, is_path
from pytest_gradcheck.diagnosis.line.repair.edits import (
    LEVELS,
    Edit,
    Guess,
    Workshop,
    expression_of,
)
from pytest_gradcheck.diagnosis.line.repair.replay import Event, Known, Script
from pytest_gradcheck.diagnosis.line.repair.sight import is_harmless
from pytest_gradcheck.diagnosis.line.repair.targets import (
    Holder,
    TargetWorkshop,
    index_of,
    target_of,
)
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["Bench", "repaired"]

EDITS = 120
"""Edits of a statement and a level that are left to try, at most."""

TRIED = 1_500
"""Edits of a statement and a level that are evaluated, at most."""

FOR_EACH_TARGET = 3
"""Edits of the expression that are tried for each edit of the target."""

COMPUTES = 2
"""Likelihood of a statement that does more than to pass on the result of a call."""

NEAR = 2
"""Levels whose edits of all statements are tried before those of the others."""

BEFORE_FAR, SOON = 2, 0.6
"""The rounds before larger edits are tried, and the fraction of the time that these may take."""

COMPONENTS = 3
"""Components that a factor has to make right, so that it is no coincidence."""

NOTHING = 1e-9
"""Factors below count as 0."""

SHARES = (0.6, 0.5, 0.7, 1.0)
"""Fraction of the remaining calls that the edits of a level may take."""


@dataclass
class Bench:
    """What is needed to try edits.

    Attributes
    ----------
    gradient : callable
        The gradient at theta as it stands.
    faults : Faults
    sources : Sources
    known : mapping
        The conditions that values have to meet.
    until : float
        The time, by `clock.now`, at which to stop.
    calls : int
        Remaining calls.
    rounds_before : callable
        Returns, for each execution of a statement, the first execution that it depends on.
    callers : sequence of Statement
        Statements that call the functions of suspected statements, directly or indirectly.
    """

    gradient: Callable[[], FloatArray]
    faults: Faults
    sources: Sources
    known: Mapping[Statement, Sequence[Known]]
    until: float
    calls: int
    rounds_before: Callable[[Statement], Mapping[int, int]]
    callers: Sequence[Statement]

    @property
    def is_spent(self) -> bool:
        """Whether time or calls are used up."""
        return self.calls <= 0 or clock.now() > self.until


def repaired(bench: Bench, ranks: Mapping[Statement, int]) -> dict[Statement, Edit]:
    """Return the statements of which one small edit makes the whole gradient right.

    The likeliest statements are tried first, and the others if none of these succeeds. Of
    statements with rank 0, small edits are tried in the end. The smallest edits count: after a
    success, edits of further levels are not tried.
    """
    if bench.is_spent:
        return {}
    script = Script(
        bench.sources, bench.until, list(ranks), bench.known, bench.rounds_before, bench.callers
    )
    bench.calls -= 1
    _quietly(script, bench.gradient)
    least = min(max(ranks.values(), default=0), COMPUTES)
    likeliest = [statement for statement, rank in ranks.items() if rank >= least]
    others = [statement for statement, rank in ranks.items() if 0 < rank < least]
    rest = [statement for statement, rank in ranks.items() if rank == 0 < least]
    start, end = clock.now(), bench.until
    near, far = range(NEAR), range(NEAR, LEVELS)
    rounds = ((near, likeliest), (near, others), (far, likeliest), (far, others), (near, rest))
    for number, (levels, statements) in enumerate(rounds):
        bench.until = start + (SOON if number < BEFORE_FAR else 1) * (end - start)
        found = _repaired(bench, script, statements, levels)
        if found:
            return found
    return {}


def _repaired(
    bench: Bench, script: Script, statements: Sequence[Statement], levels: range
) -> dict[Statement, Edit]:
    """Return the statements that an edit of these levels makes right.

    Among larger edits, those that known values confirm are tried first.
    """
    found: dict[Statement, Edit] = {}
    by_level: dict[int, dict[Statement, _Kept]] = {}
    for sure, rest in ((True, False), (False, True)) if levels.start else ((True, True),):
        for level in levels if statements else ():
            if found or bench.is_spent:
                break
            if level not in by_level:
                by_level[level] = {s: _kept(bench, script, s, level) for s in statements}
            edits = {
                statement: [*kept.sure * sure, *kept.rest * rest]
                for statement, kept in by_level[level].items()
            }
            found = _healing(bench, script, edits, int(bench.calls * (1 - SHARES[level])))
    if found or levels.stop < LEVELS:
        return found
    return _fitted(bench, script, statements, False) or _fitted(bench, script, statements, True)


def _healing(
    bench: Bench,
    script: Script,
    edits: Mapping[Statement, Sequence[tuple[CodeType, Edit]]],
    left: int,
) -> dict[Statement, Edit]:
    """Return the first edits that make the gradient right; `left` calls are saved."""
    found: dict[Statement, Edit] = {}
    for statement, code, edit in _in_turn(edits):
        if bench.is_spent or bench.calls <= left:
            break
        if statement not in found:
            bench.calls -= 1
            if _heals(bench, script, code, statement, edit):
                found[statement] = edit
    return found


def _fitted(
    bench: Bench, script: Script, statements: Sequence[Statement], adding: bool
) -> dict[Statement, Edit]:
    """Return the statements that a fitted factor makes right, of a node or of an added term."""
    found: dict[Statement, Edit] = {}
    for statement in statements if not bench.is_spent else ():
        edit = _with_factor(bench, script, statement, adding)
        if edit is not None and not bench.is_spent:
            bench.calls -= 1
            if _heals(bench, script, script.events(statement)[0].code, statement, edit):
                found[statement] = edit
    return found


def _with_factor(bench: Bench, script: Script, statement: Statement, adding: bool) -> Edit | None:
    """Return the first edit with a factor that known parts of the gradient confirm."""
    events, node = script.events(statement), expression_of(statement)
    if not events or node is None:
        return None
    event = events[-1]
    scope = Scope.of(event.names, event.outer)
    if not is_harmless(node, scope):
        return None
    workshop = Workshop(node, script.in_sight(event))
    for guess in workshop.additions() if adding else workshop.factors():
        if bench.is_spent:
            break
        factor = _factor(guess, script, statement)
        edit = None if factor is None else guess.of(factor)
        if edit is not None and script.passes(statement, edit):
            return edit
    return None


def _factor(guess: Guess, script: Script, statement: Statement) -> float | None:
    """Return the factor by which a guess fits the known parts of the gradient, or None."""
    ends = [
        None if edit is None else script.ends(statement, edit)
        for edit in (guess.of(0.0), guess.of(1.0))
    ]
    first, second = ends
    if first is None or second is None or first[0].shape != second[0].shape:
        return None
    (zero, due), (one, _) = first, second
    slope, rest = one - zero, due - zero
    if np.count_nonzero(slope) < COMPONENTS or not np.all(np.isfinite(slope)):
        return None
    factor = float(slope @ rest / (slope @ slope))
    return float(f"{factor:.7g}") if abs(factor) > NOTHING else None


class _Kept(NamedTuple):
    """Edits that change the value: those that known values confirm, and the others."""

    sure: list[tuple[CodeType, Edit]]
    rest: list[tuple[CodeType, Edit]]


def _kept(bench: Bench, script: Script, statement: Statement, level: int) -> _Kept:
    """Return the edits of a level that change the value.

    The first, the middle and the last round of a loop are compared, because a single round may
    have zeros or square arrays, which hide a change.
    """
    events = script.events(statement)
    node = expression_of(statement)
    kept = _Kept([], [])
    if not events or node is None:
        return kept
    last = events[-1]
    if not is_harmless(node, Scope.of(last.names, last.outer)):
        return kept
    original, edits = _edits(bench, script, last, node, level)
    done: set[int] = set()
    for event in dict.fromkeys((events[0], events[len(events) // 2], last)):
        space = event.space({})
        before = _evaluated(original, space)
        seen: set[tuple[Hashable, str]] = {(_bits(before), "")}
        for number, edit in enumerate(edits):
            if len(kept.rest) >= EDITS or clock.now() > bench.until:
                break
            if number in done:
                continue
            value = _evaluated(edit.code, space)
            key = _bits(value), "" if edit.target is None else ast.unparse(edit.target)
            if not _is_alike(value, before) or key in seen:
                continue
            seen.add(key)
            done.add(number)
            answer = script.passes(statement, edit)
            if answer is not False:
                (kept.sure if answer else kept.rest).append((event.code, edit))
    return kept


def _edits(
    bench: Bench, script: Script, event: Event, node: ast.expr, level: int
) -> tuple[CodeType, list[Edit]]:
    """Return the code of a statement's expression, and the edits of a level."""
    in_sight = script.in_sight(event)
    written = script.written(bench.sources.function_around(event.statement))
    target = target_of(event.statement)
    workshop = Workshop(node, in_sight, "" if target is None else ast.unparse(target))
    elsewhere = TargetWorkshop(event.statement, written, in_sight)
    edits = islice(_mixed(workshop.edits(level), elsewhere.edits(level)), TRIED)
    in_time = takewhile(lambda edit: clock.now() <= bench.until, edits)
    return workshop.original(), list(in_time)


def _mixed(values: Iterator[Edit], targets: Iterator[Edit]) -> Iterator[Edit]:
    """Yield several edits of the expression for each edit of the target."""
    for target in targets:
        yield from islice(values, FOR_EACH_TARGET)
        yield target
    yield from values


def _in_turn(
    kept: Mapping[Statement, Sequence[tuple[CodeType, Edit]]],
) -> Iterator[tuple[Statement, CodeType, Edit]]:
    """Yield the first edit of each statement, then the second of each."""
    for number in range(max(map(len, kept.values()), default=0)):
        for statement, edits in kept.items():
            if number < len(edits):
                yield statement, *edits[number]


def _quietly(tracer: Tracer, call: Callable[[], FloatArray]) -> FloatArray | None:
    try:
        return np.array(tracer.run(call))
    except Exception:
        return None


def _heals(bench: Bench, script: Script, code: CodeType, statement: Statement, edit: Edit) -> bool:
    trial = _Trial(bench, code, statement, edit)
    gradient = _quietly(trial, bench.gradient)
    trial.undo()
    if not trial.is_applied and statement.is_return:  # what it returns cannot be changed
        return script.heals(statement, edit, bench.faults.is_wrong)
    failed = gradient is None or trial.failure is not None or not trial.is_applied
    return not failed and bench.faults.are_gone(np.asarray(gradient))


class _Trial(Tracer):
    """Replaces the value of a statement by that of an edit, each time that it runs."""

    def __init__(self, bench: Bench, code: CodeType, statement: Statement, edit: Edit) -> None:
        super().__init__(bench.sources, bench.until, frozenset([code]))
        self._statement, self._edit = statement, edit
        self._values: dict[int, tuple[Any, Any]] = {}
        self._moved: dict[int, tuple[Holder, Holder]] = {}
        self._strangers: list[Holder] = []
        self.is_applied = False

    def undo(self) -> None:
        """Restore what only the edit has changed."""
        for place in reversed(self._strangers):
            place.put_back()

    def started(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Evaluate the edit and the index of its target."""
        if statement is not self._statement:
            return
        scope, target = Scope(frame), target_of(statement)
        value = eval(self._edit.code, {**scope.outer, **scope.names})
        key = _index(target, scope) if isinstance(target, ast.Subscript) else None
        self._values[activation.serial] = (value, key)
        if statement.is_return:
            _rename(scope, frame.f_code, getattr(statement.nodes[0], "value", None), value)
        if self._edit.target is not None:
            assert isinstance(target, ast.Subscript | ast.Attribute)
            places = (Holder(scope, target), Holder(scope, self._edit.target))
            self._moved[activation.serial] = places

    def finished(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Assign the value of the edit."""
        if statement is not self._statement or activation.serial not in self._values:
            return
        value, key = self._values.pop(activation.serial)
        if activation.serial in self._moved:
            old, new = self._moved.pop(activation.serial)
            old.put_back()
            new.put(value)
            self._strangers.append(new)
        else:
            target = target_of(statement)
            assert target is not None
            added = isinstance(statement.nodes[0], ast.AugAssign)
            _store(Scope(frame), target, key, value, added)
        self.is_applied = True

    def left(self, activation: Activation, frame: FrameType, value: Any) -> None:
        """Write the value of the edit into the returned arrays."""
        if activation.statement is self._statement and activation.serial in self._values:
            new, _ = self._values.pop(activation.serial)
            node = self._statement.nodes[0]
            assert isinstance(node, ast.Return)
            self.is_applied = _overwrite(value, new, list(frame.f_locals.values()), node.value)
            if not self.is_applied:
                self.failure = "what it returns cannot be changed"


def _evaluated(code: CodeType, names: dict[str, Any]) -> Any:
    try:
        return eval(code, names)
    except Exception:
        return MISSING


def _is_alike(value: Any, original: Any) -> bool:
    """Return whether a value may replace another."""
    if value is MISSING or original is MISSING:
        return False
    if isinstance(original, (tuple, list)):
        same = type(value) is type(original) and len(value) == len(original)
        return same and all(map(_is_alike, value, original))
    if isinstance(original, dict):
        same = isinstance(value, dict) and value.keys() == original.keys()
        return same and all(_is_alike(value[key], original[key]) for key in original)
    if not isinstance(value, (np.ndarray, np.generic, int, float)):
        return False
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or not np.all(np.isfinite(array)):
        return False
    one, two = array.shape, np.shape(original)
    try:
        return np.broadcast_shapes(one, two) in (one, two)
    except ValueError:
        return False


def _bits(value: Any) -> Hashable:
    """Return a key that is equal for equal values."""
    if isinstance(value, (tuple, list)):
        return tuple(map(_bits, value))
    if isinstance(value, dict):
        return tuple(map(_bits, value.values()))
    try:
        return (np.asarray(numbers_of(value), np.float64) + 0.0).tobytes()  # -0.0 is 0.0
    except (TypeError, ValueError):  # no numbers
        return id(value)


def _index(target: ast.Subscript, scope: Scope) -> Any:
    return index_of(target, {**scope.outer, **scope.names})


def _store(scope: Scope, target: ast.expr, key: Any, value: Any, added: bool) -> None:
    """Assign a value as the statement does, in place if it adds to an array."""
    if isinstance(target, (ast.Tuple, ast.List)):
        for part, item in zip(target.elts, value, strict=True):
            index = _index(part, scope) if isinstance(part, ast.Subscript) else None
            _store(scope, part, index, item, False)
        return
    before: Any = None
    if added and isinstance(target, ast.Subscript):
        base = scope.resolve(target.value)
        before = None if isinstance(base, np.ndarray) else base[key]
    elif added:
        before = scope.resolve(target)
    if isinstance(before, np.ndarray):
        before[...] = value
    else:
        put(scope, target, key, value)


def _rename(scope: Scope, code: CodeType, node: ast.expr | None, value: Any) -> None:
    """Assign other values to the local names that a function is about to return."""
    for name, new in _renamed(node, value).items():
        if name in code.co_varnames and name not in code.co_cellvars:
            scope.names[name] = new


def _renamed(node: ast.expr | None, value: Any) -> dict[str, Any]:
    """Return the values of names that give an expression a value, where there are some."""
    if isinstance(node, ast.Name):
        return {node.id: value}
    if isinstance(node, ast.Attribute) and node.attr == "T":
        return _renamed(node.value, np.transpose(value))
    if isinstance(node, (ast.Tuple, ast.List)) and isinstance(value, (tuple, list)):
        parts = list(zip(node.elts, value, strict=False))
    elif isinstance(node, ast.Dict) and isinstance(value, dict):
        parts = list(zip(node.values, value.values(), strict=False))
    else:
        return {}
    found: dict[str, Any] = {}
    for part, item in parts:
        for name, new in _renamed(part, item).items():
            if found.setdefault(name, new) is not new:
                return {}  # one name has only one value
    return found


def _overwrite(old: Any, new: Any, others: list[Any], node: ast.expr | None) -> bool:
    """Write new values into fresh arrays that a function returns; return whether that worked."""
    if isinstance(old, (tuple, list)) and isinstance(new, (tuple, list)) and len(old) == len(new):
        nodes = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [None] * len(old)
        return all(_overwrite(o, n, others, p) for o, n, p in zip(old, new, nodes, strict=True))
    if isinstance(old, dict) and isinstance(new, dict):
        old.update(new)
        return True
    if old is new or is_path(node) or (isinstance(old, np.ndarray) and _bits(old) == _bits(new)):
        return True
    fresh = isinstance(old, np.ndarray) and old.base is None and np.shape(new) == old.shape
    arrays = [other for other in others if isinstance(other, np.ndarray)]
    if not fresh or any(np.may_share_memory(old, array) for array in arrays):
        return False
    old[...] = new
    return True
