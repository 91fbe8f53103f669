"""Run a gradient with another value in the place of a statement's, and see whether it is right."""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.marks import Faults
from pytest_gradcheck.diagnosis.line.perturb import put
from pytest_gradcheck.diagnosis.line.recording.source import Sources, Statement
from pytest_gradcheck.diagnosis.line.recording.tracing import Activation, Tracer
from pytest_gradcheck.diagnosis.line.recording.values import MISSING, Scope, is_path
from pytest_gradcheck.diagnosis.line.repair.edits import (
    LEVELS,
    Edit,
    Workshop,
    expression_of,
    is_harmless,
)
from pytest_gradcheck.params.theta import FloatArray

__all__ = ["Bench", "repaired"]

EDITS = 120
"""Edits of a statement that are looked at, of each level."""

SHARES = (0.6, 0.5, 0.7, 1.0)
"""Part of the calls that the edits of a level may take."""

Accepts = Mapping[Statement, Callable[[Any], bool]]
"""Of statements whose right value is known: whether a value is it."""


@dataclass
class Bench:
    """What is needed to try edits.

    Attributes
    ----------
    gradient : callable
        The gradient at theta as it stands.
    faults : Faults
    sources : Sources
    executions : mapping
        How often each statement runs.
    accepts : Accepts
    until : float
        The time, by `time.perf_counter`, at which to stop.
    calls : int
        Calls that may be made; counted down.
    """

    gradient: Callable[[], FloatArray]
    faults: Faults
    sources: Sources
    executions: Mapping[Statement, int]
    accepts: Accepts
    until: float
    calls: int

    @property
    def is_spent(self) -> bool:
        """Whether time or calls are up."""
        return self.calls <= 0 or time.perf_counter() > self.until


def repaired(bench: Bench, ranks: Mapping[Statement, int]) -> dict[Statement, Edit]:
    """Return the statements of which one small edit makes the whole gradient right.

    The likeliest statements are tried first, and the others where none of these heals. The
    smallest edits count: where one is found, those that are further off are not tried.
    """
    best = max(ranks.values(), default=0)
    likeliest = [statement for statement, rank in ranks.items() if rank == best]
    others = [statement for statement, rank in ranks.items() if rank < best]
    return _repaired(bench, likeliest) or _repaired(bench, others)


def _repaired(bench: Bench, statements: Sequence[Statement]) -> dict[Statement, Edit]:
    found: dict[Statement, Edit] = {}
    for level in range(LEVELS if statements else 0):
        if found or bench.is_spent:
            break
        look = _Look(bench, statements, level)
        bench.calls -= 1
        _quietly(look, bench.gradient)
        left = int(bench.calls * (1 - SHARES[level]))
        for statement, code, edit in _in_turn(look.kept):
            if bench.is_spent or bench.calls <= left:
                break
            if statement not in found:
                bench.calls -= 1
                if _heals(bench, code, statement, edit):
                    found[statement] = edit
    return found


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
        return np.asarray(tracer.run(call))
    except Exception:
        return None


def _heals(bench: Bench, code: CodeType, statement: Statement, edit: Edit) -> bool:
    trial = _Trial(bench, code, statement, edit)
    gradient = _quietly(trial, bench.gradient)
    failed = gradient is None or trial.failure is not None or not trial.is_applied
    return not failed and bench.faults.are_gone(np.asarray(gradient))


class _Look(Tracer):
    """Evaluates edits where their statement stands, and keeps those that make another value."""

    def __init__(self, bench: Bench, statements: Sequence[Statement], level: int) -> None:
        super().__init__(bench.sources, bench.until)
        self._bench, self._wanted, self._level = bench, set(statements), level
        self.kept: dict[Statement, list[tuple[CodeType, Edit]]] = {}

    def started(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Evaluate the edits in the first, the middle and the last round of a loop.

        Any one round is apt to have zeros, or square arrays, which tell nothing.
        """
        last = self._bench.executions.get(statement, 0)
        known = self._bench.accepts.get(statement)
        due = (last,) if known is not None else (1, (last + 1) // 2, last)
        if statement not in self._wanted or activation.execution not in due:
            return
        node, scope = expression_of(statement), Scope(frame)
        if node is None or not is_harmless(node, scope):
            return
        workshop = Workshop(node, self._bench.sources.function_around(statement), scope)
        names = {**scope.outer, **scope.names}
        original = _evaluated(workshop.original(), names)
        kept = self.kept.setdefault(statement, [])
        texts, seen = {edit.text for _, edit in kept}, [original]
        for number, edit in enumerate(workshop.edits(self._level)):
            if number >= 4 * EDITS or len(kept) >= EDITS or time.perf_counter() > self._bench.until:
                break
            value = MISSING if edit.text in texts else _evaluated(edit.code, names)
            if not _is_alike(value, original) or any(_is_same(value, other) for other in seen):
                continue
            seen.append(value)
            if known is None or known(value):
                kept.append((activation.code, edit))


class _Trial(Tracer):
    """Puts the value of an edit in the place of a statement's, each time that it runs."""

    def __init__(self, bench: Bench, code: CodeType, statement: Statement, edit: Edit) -> None:
        super().__init__(bench.sources, bench.until, frozenset([code]))
        self._statement, self._code = statement, edit.code
        self._values: dict[int, tuple[Any, Any]] = {}
        self.is_applied = False

    def started(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Evaluate the edit, and where the value goes."""
        if statement is self._statement:
            scope = Scope(frame)
            value = eval(self._code, {**scope.outer, **scope.names})
            target = _target(statement)
            key = _index(target.slice, scope) if isinstance(target, ast.Subscript) else None
            self._values[activation.serial] = (value, key)

    def finished(self, activation: Activation, frame: FrameType, statement: Statement) -> None:
        """Put it there."""
        if statement is self._statement and activation.serial in self._values:
            value, key = self._values.pop(activation.serial)
            target = _target(statement)
            assert target is not None
            added = isinstance(statement.nodes[0], ast.AugAssign)
            _store(Scope(frame), target, key, value, added)
            self.is_applied = True

    def left(self, activation: Activation, frame: FrameType, value: Any) -> None:
        """Write it into what is returned."""
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
    """Return whether a value could stand in the place of another."""
    if value is MISSING or original is MISSING:
        return False
    if isinstance(original, (tuple, list)):
        same = type(value) is type(original) and len(value) == len(original)
        return same and all(map(_is_alike, value, original))
    if isinstance(original, dict):
        same = isinstance(value, dict) and value.keys() == original.keys()
        return same and all(_is_alike(value[key], original[key]) for key in original)
    array = np.asarray(value)
    fits = array.shape == np.shape(original) and array.dtype.kind in "fiub"
    return fits and bool(np.all(np.isfinite(array)))


def _is_same(value: Any, other: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_same, value, other))
    if isinstance(value, dict):
        return all(_is_same(value[key], other[key]) for key in value)
    return other is not MISSING and bool(np.array_equal(value, other))


def _target(statement: Statement) -> ast.expr | None:
    node = statement.nodes[0]
    if isinstance(node, ast.Assign):
        return node.targets[0]
    return node.target if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else None


def _index(node: ast.expr, scope: Scope) -> Any:
    """Return the value of an index, whatever it is made of."""
    holder = ast.Subscript(ast.Name("_the_index_of", ast.Load()), node, ast.Load())
    code = compile(ast.fix_missing_locations(ast.Expression(holder)), "<edit>", "eval")
    return eval(code, {**scope.outer, **scope.names, "_the_index_of": np.s_})


def _store(scope: Scope, target: ast.expr, key: Any, value: Any, added: bool) -> None:
    """Assign a value as the statement does: in place where it adds to an array."""
    if isinstance(target, (ast.Tuple, ast.List)):
        for part, item in zip(target.elts, value, strict=True):
            index = _index(part.slice, scope) if isinstance(part, ast.Subscript) else None
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


def _overwrite(old: Any, new: Any, others: list[Any], node: ast.expr | None) -> bool:
    """Write new values into the fresh arrays that a function returns; return whether all went."""
    if isinstance(old, (tuple, list)) and isinstance(new, (tuple, list)) and len(old) == len(new):
        nodes = node.elts if isinstance(node, (ast.Tuple, ast.List)) else [None] * len(old)
        return all(_overwrite(o, n, others, p) for o, n, p in zip(old, new, nodes, strict=True))
    if isinstance(old, dict) and isinstance(new, dict):
        old.update(new)
        return True
    if old is new or is_path(node):
        return True
    fresh = isinstance(old, np.ndarray) and old.base is None and np.shape(new) == old.shape
    arrays = [other for other in others if isinstance(other, np.ndarray)]
    if not fresh or any(np.may_share_memory(old, array) for array in arrays):
        return False
    old[...] = new
    return True
