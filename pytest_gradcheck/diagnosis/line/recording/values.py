"""Values of a run and their places: locals, attributes, entries of containers, rows."""

from __future__ import annotations

import ast
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.line.recording.source import Effect, Statement

__all__ = [
    "MISSING",
    "Handle",
    "Name",
    "Scope",
    "Value",
    "entries",
    "form_of",
    "hashable",
    "is_container",
    "is_float",
    "is_path",
    "is_row",
]

MISSING: Any = object()
"""Stands for a value that only running code could tell."""

Name = tuple[Any, Any]
"""The name of a value, and its key or None."""

ENTRIES = 64
"""Entries of a container that are recorded."""

COMPONENTS = 200_000
"""Components of the largest array that is copied."""


@dataclass(frozen=True)
class Handle:
    """The place in which a value can be perturbed after its statement has run.

    Attributes
    ----------
    code : code
    statement : Statement
    execution : int
        The number of times that the statement has run by then.
    target : ast.expr
    keys : tuple
        The steps from the target to the value, where the target is a container.
    """

    code: CodeType
    statement: Statement
    execution: int
    target: ast.expr
    keys: tuple[Any, ...] = ()


@dataclass(eq=False)
class Value:
    """One value that one statement has computed.

    Attributes
    ----------
    number : int
        Its number in the order of the run.
    statement : Statement or None
        The statement that computes it; None for arguments.
    execution : int
        The number of times that this statement had run.
    code : code
        The function of the statement.
    effect : Effect or None
        The part of the statement.
    text : str
        ``dZ2``, ``grads['dZ2']``, ``self.dz``.
    names : set of Name
        Its names, in this function and in those that it is passed to.
    place : tuple
        Its place; see `Recorder`.
    reads : set of int
        Its direct inputs.
    array : array or None
        A float, or an array of them.
    whole : int or None
        A whole number.
    kind : str
        ``computed``; ``copied``: an existing value under another name; ``passed``: a value that a
        call hands on; ``given``: an entry of an existing container; ``foreign``: an array of
        another framework.
    holds : int
        The id of its array; 0 for a number.
    inplace : bool
        Whether it was written into an existing array.
    region : object
        The index of the row that it is, or None.
    handle : Handle or None
    """

    number: int
    statement: Statement | None
    execution: int
    code: CodeType
    effect: Effect | None
    text: str
    names: set[Name]
    place: tuple[Any, ...]
    reads: set[int]
    array: npt.NDArray[np.float64] | None = None
    whole: int | None = None
    kind: str = "computed"
    holds: int = 0
    inplace: bool = False
    region: Any = None
    handle: Handle | None = None
    live: Any = field(default=None, repr=False)

    @property
    def size(self) -> int:
        """The number of its components; 0 if it is not a float."""
        return 0 if self.array is None else self.array.size

    @property
    def expression(self) -> ast.expr | None:
        """The expression that was evaluated."""
        return None if self.effect is None else self.effect.value

    def freeze(self) -> None:
        """Copy the value as it is now."""
        if self.live is not None:
            live = self.live if self.region is None else self.live[self.region]
            if np.size(live) <= COMPONENTS:
                self.array = np.array(live, np.float64)
            self.live = None


def is_float(value: Any) -> bool:
    """Return whether a value is a float or an array of them."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    return isinstance(value, (float, np.floating))


PLAIN = (types.ModuleType, type, types.FunctionType, types.MethodType, np.ndarray, np.generic)
"""Types with attributes that are no containers of values."""


def _attributes(value: Any) -> Mapping[str, Any] | None:
    """Return the attributes of an object of a class written in Python, or None."""
    if isinstance(value, PLAIN) or type(value).__module__ == "builtins":
        return None
    slots = getattr(type(value), "__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    found = dict(getattr(value, "__dict__", {}))
    found.update({name: getattr(value, name) for name in names if hasattr(value, name)})
    return found if found or names or hasattr(value, "__dict__") else None


def is_container(value: Any) -> bool:
    """Return whether a value holds others."""
    return isinstance(value, (dict, list, tuple)) or _attributes(value) is not None


def entries(value: Any) -> tuple[str, list[tuple[Any, Any]]]:
    """Return how a container holds its values (``entry``, ``attribute``), and the values."""
    if isinstance(value, dict):
        found = list(value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        return "attribute", list(zip(value._fields, value, strict=True))
    elif isinstance(value, (list, tuple)):
        found = list(enumerate(value))
    else:
        return "attribute", list((_attributes(value) or {}).items())[:ENTRIES]
    return "entry", found[:ENTRIES] + found[-1:] * (len(found) > ENTRIES)


def hashable(key: Any) -> Any:
    """Return a key, or its text if it has no hash."""
    try:
        hash(key)
    except TypeError:
        return repr(key)
    return key


def is_path(node: ast.expr | None) -> bool:
    """Return whether an expression reads an existing value."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        if isinstance(node, ast.Attribute) and node.attr in ("T", "shape", "size", "ndim"):
            return False
        node = node.value
    return isinstance(node, ast.Name)


def is_row(key: Any) -> bool:
    """Return whether an index picks whole rows of an array: integers and full slices."""
    keys = key if isinstance(key, tuple) else (key,)
    whole = [isinstance(k, slice) and k == slice(None) for k in keys]
    numbers = [isinstance(k, (int, np.integer)) and not isinstance(k, bool) for k in keys]
    return any(numbers) and all(w or n for w, n in zip(whole, numbers, strict=True))


def form_of(key: Any) -> object:
    """Return the axes along which an index picks rows, or None if it may count backward."""
    keys = key if isinstance(key, tuple) else (key,)
    numbers = [not isinstance(k, slice) for k in keys]
    if not is_row(key) or any(k < 0 for k in keys if not isinstance(k, slice)):
        return None
    while numbers and not numbers[-1]:
        numbers.pop()  # a[i, :] is a[i]
    return tuple(numbers)


INDEX = (
    *(ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.JoinedStr, ast.FormattedValue),
    *(ast.Tuple, ast.Slice, ast.operator, ast.unaryop, ast.expr_context, ast.Call),
)
"""Nodes of an index that can be evaluated again."""

HARMLESS: dict[str, Any] = {"str": str, "int": int, "len": len}

INDEXER = "_the_index_of"

_indices: dict[ast.expr, CodeType | None] = {}


class Scope:
    """The names that a frame sees.

    Attributes
    ----------
    names, outer : mapping
        Locals and globals.
    """

    def __init__(self, frame: FrameType) -> None:
        self.names: Any = frame.f_locals
        self.outer = frame.f_globals

    @classmethod
    def of(cls, names: dict[str, Any], outer: dict[str, Any]) -> Scope:
        """Return the scope of recorded names."""
        scope = cls.__new__(cls)
        scope.names, scope.outer = names, outer
        return scope

    def named(self, name: str) -> Any:
        """Return the object of a name, or MISSING."""
        return self.names.get(name, self.outer.get(name, MISSING))

    def resolve(self, node: ast.expr | None) -> Any:
        """Return the object of a name, an attribute or an entry, or MISSING."""
        if isinstance(node, ast.Name):
            return self.named(node.id)
        if isinstance(node, ast.Attribute):
            base = self.resolve(node.value)
            if isinstance(base, tuple):
                is_field = node.attr in getattr(base, "_fields", ())
                return getattr(base, node.attr) if is_field else MISSING
            return MISSING if base is MISSING else (_attributes(base) or {}).get(node.attr, MISSING)
        if isinstance(node, ast.Subscript):
            base = self.resolve(node.value)
            key = self.index(node.slice)
            if not isinstance(base, (dict, list, tuple)) or key is MISSING:
                return MISSING
            return entry(base, key)
        return MISSING

    def written(self, target: ast.Subscript) -> tuple[Any, Any]:
        """Return the container of an entry and its index, which is MISSING for a view."""
        base = self.resolve(target.value)
        if base is not MISSING:
            return base, self.index(target.slice)
        node: ast.expr = target.value
        while isinstance(node, (ast.Attribute, ast.Subscript)):
            node = node.value
            base = self.resolve(node)
            if isinstance(base, np.ndarray):
                return base, MISSING
        return MISSING, MISSING

    def index(self, node: ast.expr) -> Any:
        """Return the value of an index, or MISSING if it holds more than names and numbers."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.named(node.id)
        if node not in _indices:
            plain = all(_is_plain(part) for part in ast.walk(node))
            _indices[node] = _compiled(node) if plain else None
        code = _indices[node]
        if code is None:
            return MISSING
        try:
            outer = {**self.outer, "__builtins__": HARMLESS, INDEXER: np.s_}
            return eval(code, outer, dict(self.names))
        except Exception:
            return MISSING


def entry(base: Any, key: Any) -> Any:
    """Return an entry of a dict, a list or a tuple, or MISSING."""
    try:
        return base[key]
    except (KeyError, IndexError, TypeError):
        return MISSING


def _is_plain(part: ast.AST) -> bool:
    called = getattr(part.func, "id", None) in HARMLESS if isinstance(part, ast.Call) else True
    return isinstance(part, INDEX) and called


def _compiled(node: ast.expr) -> CodeType:
    """Return the code of an index, slices included."""
    holder = ast.Subscript(ast.Name(INDEXER, ast.Load()), node, ast.Load())
    return compile(ast.fix_missing_locations(ast.Expression(holder)), "<index>", "eval")
