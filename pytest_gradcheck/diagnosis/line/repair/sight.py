"""The names that a statement sees, and whether its expressions may be evaluated again."""

from __future__ import annotations

import ast
import dis
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.recording.source import FOREIGN
from pytest_gradcheck.diagnosis.line.recording.values import (
    MISSING,
    Scope,
    entries,
    is_container,
    is_float,
)

__all__ = ["InSight", "in_sight", "is_harmless"]

KNOWN = 40
"""Names that are tried, at most."""

PURE = ("numpy", "math", "scipy", "cmath")
"""Packages whose functions have no side effects."""

CHECKED = (*PURE, "torch", "jax", "autograd", "mygrad", "micrograd", "tinygrad")
"""Packages whose functions check what they get. Those of others may hand it to compiled code that
does not: an edited argument of a loss of scikit-learn's ended the process."""

BUILTINS = (
    *("abs", "sum", "len", "float", "int", "min", "max", "range", "zip", "reversed"),
    *("list", "tuple", "dict", "pow", "enumerate", "slice", "round"),
)
"""Built-in functions without side effects."""


@dataclass(frozen=True)
class InSight:
    """The names that a statement sees.

    Attributes
    ----------
    numbers : mapping
        The expression and the shape of each number and array, by its source.
    containers, functions : tuple of str
        Names of lists and dicts, and of functions that its own function calls.
    """

    numbers: Mapping[str, tuple[ast.expr, Any]]
    containers: tuple[str, ...]
    functions: tuple[str, ...]


def in_sight(function: ast.AST | None, scope: Scope) -> InSight:
    """Return the names that a function sees.

    Those that it reads come first. Those that it does not read may be the missing ones.
    """
    found: dict[str, tuple[ast.expr, Any]] = {}
    for part in (*_named(function), *_unnamed(scope)):
        text = ast.unparse(part) if len(found) < KNOWN else ""
        value = scope.resolve(part) if text and text not in found else MISSING
        whole = isinstance(value, (int, np.integer, np.ndarray)) and not isinstance(value, bool)
        if is_float(value) or whole:
            found[text] = (part, np.shape(value))
    containers = [n for n, value in scope.names.items() if isinstance(value, (list, dict, tuple))]
    called = [p.func for p in ast.walk(function) if isinstance(p, ast.Call)] if function else []
    names = dict.fromkeys(node.id for node in called if isinstance(node, ast.Name))
    functions = [n for n in names if isinstance(scope.named(n), types.FunctionType)]
    return InSight(found, tuple(containers[:KNOWN]), tuple(functions))


def _named(function: ast.AST | None) -> Iterator[ast.expr]:
    """Yield the names, attributes and entries that a function reads."""
    for part in ast.walk(function) if function is not None else ():
        if not isinstance(part, (ast.Name, ast.Attribute, ast.Subscript)):
            continue
        if isinstance(part.ctx, ast.Load) and getattr(part, "attr", "") not in ("T", "shape"):
            yield part


def _unnamed(scope: Scope) -> Iterator[ast.expr]:
    """Yield all locals, entries with a name, and attributes."""
    names = [name for name in scope.names if name.isidentifier()]
    yield from (ast.Name(name, ast.Load()) for name in names)
    for name in names:
        value = scope.names[name]
        if not is_container(value):
            continue
        kind, inside = entries(value)
        for key in (key for key, _ in inside if isinstance(key, str)):
            base = ast.Name(name, ast.Load())
            yield (
                ast.Attribute(base, key, ast.Load())
                if kind == "attribute"
                else ast.Subscript(base, ast.Constant(key), ast.Load())
            )


def is_harmless(node: ast.expr, scope: Scope) -> bool:
    """Return whether an expression may be evaluated again: it has no side effects."""
    for part in ast.walk(node):
        if isinstance(part, (ast.NamedExpr, ast.Await, ast.Yield, ast.YieldFrom)):
            return False
        if isinstance(part, ast.Call) and not _is_pure(part.func, scope):
            return False
    return True


def _is_pure(function: ast.expr, scope: Scope) -> bool:
    if isinstance(function, ast.Name):
        value = scope.named(function.id)
        if value is MISSING:
            return function.id in BUILTINS
        own = isinstance(value, types.FunctionType) and _may_be_given_anything(value)
        return own or isinstance(value, np.ufunc) or _package(value) in PURE
    if not isinstance(function, ast.Attribute):
        return False
    root: ast.expr = function.value
    while isinstance(root, ast.Attribute):
        root = root.value
    module = scope.resolve(root)
    if isinstance(module, types.ModuleType):
        return module.__name__.split(".")[0] in PURE
    base = scope.resolve(function.value)
    if base is MISSING or isinstance(base, (np.ndarray, np.generic, float)):
        return True
    return _keeps_nothing(getattr(type(base), function.attr, None))


def _keeps_nothing(method: object) -> bool:
    """Return whether a method is the user's own, and changes no object."""
    if not isinstance(method, types.FunctionType) or not _may_be_given_anything(method):
        return False
    names = {instruction.opname for instruction in dis.get_instructions(method)}
    return names.isdisjoint(("STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL"))


def _may_be_given_anything(function: types.FunctionType) -> bool:
    """Return whether a function in Python takes edited arguments, which it was not written for.

    The statement itself calls it, so that a user's own does.
    """
    installed = function.__code__.co_filename.startswith(FOREIGN)
    return not installed or _package(function) in CHECKED


def _package(value: object) -> str:
    return str(getattr(value, "__module__", "")).split(".")[0]
