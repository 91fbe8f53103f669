"""Run a statement that calls a function again, with another return value."""

from __future__ import annotations

import ast
import types
from collections.abc import Iterator
from types import CodeType
from typing import Any

from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.recording.values import MISSING, Scope
from pytest_gradcheck.diagnosis.line.repair.edits import expression_of
from pytest_gradcheck.diagnosis.line.repair.sight import is_harmless

__all__ = ["RETURNED", "standing_in"]

RETURNED = "_what_was_returned"
"""Stands for the return value of a function."""


def standing_in(statement: Statement, callee: CodeType, scope: Scope) -> CodeType | None:
    """Return the code of a statement's expression, with a name in the place of a call.

    None if it does not call the function exactly once, or may have side effects.
    """
    node = expression_of(statement)
    if node is None:
        return None
    root = ast.Expression(node)
    calls = [
        (parent, name, position)
        for parent, name, position, part in _parts(root)
        if isinstance(part, ast.Call) and _code(part.func, scope) is callee
    ]
    if len(calls) != 1:
        return None
    ((parent, name, position),) = calls
    value = ast.Name(RETURNED, ast.Load())
    if position is None:
        setattr(parent, name, value)
    else:
        getattr(parent, name)[position] = value
    if not is_harmless(root.body, scope):
        return None
    return compile(ast.fix_missing_locations(root), "<replay>", "eval")


def _parts(root: ast.AST) -> Iterator[tuple[ast.AST, str, int | None, ast.AST]]:
    for parent in ast.walk(root):
        for name, value in ast.iter_fields(parent):
            if isinstance(value, ast.AST):
                yield parent, name, None, value
            elif isinstance(value, list):
                for position, item in enumerate(value):
                    if isinstance(item, ast.AST):
                        yield parent, name, position, item


def _code(function: ast.expr, scope: Scope) -> CodeType | None:
    """Return the code of a called function, or None if only running code could tell."""
    found: Any = MISSING
    if isinstance(function, ast.Name):
        found = scope.named(function.id)
    elif isinstance(function, ast.Attribute):
        base = scope.resolve(function.value)
        is_module = isinstance(base, types.ModuleType)
        found = vars(base).get(function.attr) if is_module else scope.resolve(function)
        if found is MISSING:
            found = getattr(type(base), function.attr, None)
    code = getattr(getattr(found, "__func__", found), "__code__", None)
    return code if isinstance(code, CodeType) else None
