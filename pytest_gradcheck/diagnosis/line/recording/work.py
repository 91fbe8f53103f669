"""The state of a statement while it runs: its inputs, and the places of its results."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.recording.source import Effect, Statement
from pytest_gradcheck.diagnosis.line.recording.tracing import Activation
from pytest_gradcheck.diagnosis.line.recording.values import (
    MISSING,
    Handle,
    Name,
    Scope,
    Value,
    form_of,
    is_float,
)

__all__ = [
    "NOTHING",
    "Callers",
    "Live",
    "Spot",
    "Whole",
    "Work",
    "arguments_of",
    "call_of",
    "handle_of",
    "last_name",
    "may_change",
    "spelled",
    "written_out",
]

NOTHING = Effect(None, None)
"""The effect of values without a statement."""


@dataclass
class Work:
    """The state of a statement that runs.

    Attributes
    ----------
    reads : dict
        The inputs of each effect.
    parts : dict
        The same by entry, where a container is written out.
    returned : set of int
        The values that its calls have returned.
    entries : dict
        The same by entry, for the last call.
    arrays : dict
        The array that each effect adds to in place.
    checksums : list of (array, int)
        Arrays that it may write into, with their checksums before.
    """

    reads: dict[Effect, set[int]] = field(default_factory=dict)
    parts: dict[Effect, dict[Any, set[int]]] = field(default_factory=dict)
    returned: set[int] = field(default_factory=set)
    entries: dict[Any, int] = field(default_factory=dict)
    arrays: dict[Effect, Any] = field(default_factory=dict)
    checksums: list[tuple[Any, int]] = field(default_factory=list)

    def returned_to(self, effect: Effect) -> set[int]:
        """Return the returned values of an effect: one entry, if the result is unpacked."""
        is_call = effect.unpacked and isinstance(effect.value, ast.Call)
        if is_call and effect.entry in self.entries:
            return {self.entries[effect.entry]}
        return self.returned

    @property
    def everything(self) -> set[int]:
        """All inputs of the statement."""
        return set[int]().union(*self.reads.values())


@dataclass(frozen=True)
class Spot:
    """The place of a value, and its inputs."""

    place: tuple[Any, ...]
    text: str
    name: Name | None
    effect: Effect
    reads: set[int]
    keys: tuple[Any, ...] = ()


class Callers:
    """The statements that have called each function."""

    def __init__(self) -> None:
        self._of: dict[CodeType, dict[Statement, CodeType]] = {}

    def called(self, activation: Activation, below: Activation | None) -> None:
        """Record a call; `below` is the caller."""
        if below is not None and below.statement is not None:
            self._of.setdefault(activation.code, {})[below.statement] = below.code

    def direct(self, code: CodeType) -> Iterable[Statement]:
        """Return the statements that call a function."""
        return self._of.get(code, ())

    def of(self, codes: Iterable[CodeType]) -> list[Statement]:
        """Return the statements that call functions, directly or indirectly."""
        found: dict[Statement, None] = {}
        todo = list(codes)
        while todo:
            for caller, code in self._of.get(todo.pop(), {}).items():
                if caller not in found:
                    found[caller] = None
                    todo.append(code)
        return list(found)


class Live:
    """The values whose objects exist, and may still be written into."""

    def __init__(self) -> None:
        self._of: dict[int, list[Value]] = {}

    def hold(self, value: Value, item: Any) -> None:
        """Bind a value to an object, until the object is written into."""
        value.live = item if is_float(item) else None
        if value.live is not None:
            self._of.setdefault(id(item), []).append(value)

    def freeze(self, array: Any) -> None:
        """Copy an array into all values that are bound to it."""
        for value in self._of.pop(id(array), ()):
            value.freeze()
        if isinstance(array.base, np.ndarray):
            self.freeze(array.base)


class Whole:
    """The values of arrays before the first of their rows was written."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[int | None, object]] = {}

    def written(self, array: Any, key: Any, last: int | None) -> None:
        """Record a write; `last` is the value of the array before."""
        form = None if key is MISSING else form_of(key)
        if form is None or self._before.get(id(array), (last, form))[1] != form:
            self._before[id(array)] = (None, None)
        else:
            self._before.setdefault(id(array), (last, form))

    def before(self, array: Any, key: Any) -> int | None:
        """Return the value of a row that was never written.

        None where rows may overlap, because they are picked along different axes.
        """
        before, form = self._before.get(id(array), (None, None))
        return before if form is not None and form == form_of(key) else None


def arguments_of(code: CodeType) -> tuple[str, ...]:
    """Return the names of a function's arguments."""
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # *args and **kwargs
    return code.co_varnames[:count]


def handle_of(activation: Activation, spot: Spot) -> Handle | None:
    """Return the handle by which the value of a spot can be perturbed."""
    target, statement = spot.effect.target, activation.statement
    if target is None or statement is None:
        return None
    return Handle(activation.code, statement, activation.execution, target, spot.keys)


def call_of(activation: Activation) -> Effect:
    """Return the effect of a call statement."""
    statement = activation.statement
    return statement.effects[0] if statement is not None and statement.effects else NOTHING


def last_name(node: ast.expr) -> Name:
    """Return the last name of an object: its own, its key, or its attribute."""
    if isinstance(node, ast.Attribute):
        return (node.attr, None)
    if isinstance(node, ast.Subscript):
        key = getattr(node.slice, "value", None)
        return (key, None) if isinstance(key, str) else last_name(node.value)
    return (node.id, None) if isinstance(node, ast.Name) else ("", None)


def spelled(key: Any) -> str:
    """Return an index as it is written."""
    if isinstance(key, tuple):
        return ", ".join(map(spelled, key))
    return ":" if isinstance(key, slice) else repr(key)


def written_out(value: ast.expr | None) -> dict[Any, ast.expr]:
    """Return the entries of a container that is written out, or handed to ``append``."""
    method = value.func if isinstance(value, ast.Call) else None
    appends = isinstance(method, ast.Attribute) and method.attr in ("append", "insert")
    if isinstance(value, ast.Call) and appends and value.args:
        value = value.args[-1]
    if isinstance(value, ast.Dict):
        pairs = zip(value.keys, value.values, strict=True)
        return {key.value: part for key, part in pairs if isinstance(key, ast.Constant)}
    if isinstance(value, (ast.Tuple, ast.List)):
        return dict(enumerate(value.elts))
    if isinstance(value, ast.Call):
        return {word.arg: word.value for word in value.keywords if word.arg and not value.args}
    return {}


def may_change(effect: Effect, scope: Scope) -> Iterator[Any]:
    """Yield the arrays that a call may write into: its arguments, its object, its ``out=``."""
    for part in ast.walk(effect.value) if effect.value is not None else ():
        if not isinstance(part, ast.Call):
            continue
        nodes = [word.value for word in part.keywords if word.arg == "out"]
        if effect.target is None and part is effect.value:
            nodes += [*part.args]
            nodes += [part.func.value] if isinstance(part.func, ast.Attribute) else []
        for node in nodes:
            array = scope.resolve(node)
            if isinstance(array, np.ndarray):
                yield array
