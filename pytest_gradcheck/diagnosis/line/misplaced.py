"""Parts of the gradient that are right when they are computed, and wrong when they are returned."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import CodeType

from pytest_gradcheck.diagnosis.line.marks import Faults
from pytest_gradcheck.diagnosis.line.pairing import Values
from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.recording.values import Value

__all__ = ["Exits", "Misplaced", "misplaced"]

Exits = Mapping[CodeType | None, Statement]
"""The return statement of each function, and under None that of the outermost."""


@dataclass(frozen=True)
class Misplaced:
    """A statement that puts a right value in the wrong place.

    Attributes
    ----------
    statement : Statement
    value : Value
        The right value.
    parameters : tuple of str
        The parameters whose gradient it is.
    """

    statement: Statement
    value: Value
    parameters: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The fault in words."""
        names = ", ".join(self.parameters[:4])
        made = self.value.statement
        if made is None or made is self.statement:
            return f"what is right for {names} is computed here, and does not go where it belongs"
        line = f"line {made.line}"
        return f"what is returned for {names} is not {self.value.text} ({line}), which is right"


def misplaced(
    values: Values, seen: Iterable[slice], faults: Faults, exits: Exits
) -> Misplaced | None:
    """Return the statement that loses right parts of the gradient, if one statement loses all.

    Parameters
    ----------
    values : sequence of Value
        Those of the backward pass.
    seen : iterable of slice
        Parts of the gradient that are wrong when they are computed.
    faults : Faults
    exits : mapping
    """
    parts = [part for part in faults.parts if faults.is_wrong[part].any()]
    if any(a.start < b.stop and b.start < a.stop for b in seen for a in parts):
        return None
    found: dict[Statement, Value] = {}
    is_all = len(parts) == len(faults.starts)
    for part in parts:
        value = _right(values, part, faults)
        statement = None if value is None else _culprit(value, values, is_all, exits)
        if value is None or statement is None:
            return None
        found[statement] = value
    if len(found) != 1:
        return None
    (statement, value) = next(iter(found.items()))
    names = tuple(faults.starts[part.start] for part in parts)
    return Misplaced(statement, value, names)


def _right(values: Values, part: slice, faults: Faults) -> Value | None:
    """Return the last value that agrees with a part of the numerical gradient."""
    if not faults.is_checked[part].all():
        return None
    found: Value | None = None
    for value in values:
        if value.array is None or value.size != part.stop - part.start:
            continue
        flat = value.array.ravel()
        if flat.any() and faults.agree(flat, part):
            found = value
    return found


def _culprit(value: Value, values: Values, is_all: bool, exits: Exits) -> Statement | None:
    """Return the statement that loses a right value: its assignment, or a return."""
    if value.kind == "passed" and value.statement is not None and value.statement.is_return:
        return exits.get(None)
    leaves = exits.get(value.code)
    target = value.effect.target if value.effect is not None else None
    if not isinstance(target, ast.Subscript):
        return leaves if len(value.names) < 2 else None  # it may be assigned elsewhere
    over = any(v.place == value.place and v.number > value.number for v in values)
    base = target.value
    is_picked = isinstance(base, ast.Name) and base.id in _picked_from(leaves)
    return leaves if leaves and (is_all or (is_picked and not over)) else value.statement


def _picked_from(leaves: Statement | None) -> set[str]:
    """Return the containers from which a return picks entries."""
    parts = ast.walk(leaves.nodes[-1]) if leaves else ()
    entries = (part.value for part in parts if isinstance(part, ast.Subscript))
    return {entry.id for entry in entries if isinstance(entry, ast.Name)}
