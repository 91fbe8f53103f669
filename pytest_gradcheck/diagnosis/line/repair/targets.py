"""Small edits of a statement's target."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.recording.values import Scope
from pytest_gradcheck.diagnosis.line.repair.edits import (
    Edit,
    Site,
    Workshop,
    root_of,
)
from pytest_gradcheck.diagnosis.line.repair.sight import InSight

__all__ = ["Holder", "TargetWorkshop", "index_of", "target_of"]

ABSENT = object()
"""Stands for a missing entry."""


def target_of(statement: Statement) -> ast.expr | None:
    """Return the target of a statement, or None."""
    node = statement.nodes[0]
    if isinstance(node, ast.Assign):
        return node.targets[0]
    return node.target if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else None


class TargetWorkshop(Workshop):
    """Makes edits of the array, the index or the object that a statement assigns to.

    Parameters
    ----------
    statement : Statement
    written : names and attributes
        The objects that its function changes, see `written_by`. Edits change no others.
    seen : InSight
    """

    def __init__(
        self,
        statement: Statement,
        written: tuple[frozenset[str], frozenset[str]],
        seen: InSight,
    ) -> None:
        self._names, self._attributes = written
        self._node = statement.nodes[0]
        target = copy.deepcopy(target_of(statement))
        is_one = isinstance(target, (ast.Subscript, ast.Attribute)) and len(statement.nodes) == 1
        if target is None or not is_one or len(getattr(self._node, "targets", "1")) != 1:
            target = ast.Constant(None)  # it has no edits
        for part in ast.walk(target):
            if hasattr(part, "ctx"):
                part.ctx = ast.Load()
        super().__init__(target, seen)

    def _others(self, site: Site) -> Iterator[tuple[int, ast.expr]]:
        return iter(())

    def _edit(self, site: Site, new: ast.expr, level: int) -> Iterator[Edit]:
        site.put(new)
        try:
            target = ast.parse(ast.unparse(self._root), mode="eval").body
        except (SyntaxError, ValueError):
            return
        finally:
            site.put(site.part)
        if not isinstance(target, ast.Subscript | ast.Attribute):
            return
        if not self._may_be_written(target):
            return
        value: Any = getattr(self._node, "value", None)
        if isinstance(self._node, ast.AugAssign):
            value = ast.BinOp(target, self._node.op, value)
        code = compile(ast.fix_missing_locations(ast.Expression(value)), "<edit>", "eval")
        yield Edit(level, code, partial(self._line, target), target)

    def _may_be_written(self, target: ast.expr) -> bool:
        if isinstance(target, ast.Attribute):
            return isinstance(self._root.body, ast.Attribute) and target.attr in self._attributes
        is_entry = isinstance(target, ast.Subscript) and isinstance(self._root.body, ast.Subscript)
        return is_entry and self._names.issuperset(root_of(target))

    def _line(self, target: ast.expr) -> str:
        node: Any = self._node
        sign = "=" if isinstance(node, (ast.Assign, ast.AnnAssign)) else _signs(node)
        return f"{ast.unparse(target)} {sign} {ast.unparse(node.value)}"


def _signs(node: ast.AugAssign) -> str:
    """Return the operator of an augmented assignment."""
    plain = ast.AugAssign(ast.Name("a", ast.Store()), node.op, ast.Name("b", ast.Load()))
    return ast.unparse(plain).split()[1]


class Holder:
    """The place that a target refers to at one moment of a run.

    Parameters
    ----------
    scope : Scope
    target : ast.expr
        An entry or an attribute.
    """

    def __init__(self, scope: Scope, target: ast.Subscript | ast.Attribute) -> None:
        names = {**scope.outer, **scope.names}
        self._base = evaluated(target.value, names)
        self._key = target.attr if isinstance(target, ast.Attribute) else index_of(target, names)
        self._is_entry = isinstance(target, ast.Subscript)
        self._before = self._held()
        self._kept = self._before
        if isinstance(self._before, np.ndarray):
            self._kept = self._before.copy()

    def put(self, value: Any) -> None:
        """Assign a value."""
        if self._is_entry:
            self._base[self._key] = value
        else:
            setattr(self._base, self._key, value)

    def put_back(self) -> None:
        """Restore the value of that moment."""
        if self._before is ABSENT:
            del self._base[self._key]
        elif isinstance(self._base, np.ndarray):
            self._base[self._key] = self._kept
        elif isinstance(self._before, np.ndarray) and self._held() is self._before:
            self._before[...] = self._kept  # it was added to in place
        else:
            self.put(self._before)

    def _held(self) -> Any:
        if not self._is_entry:
            return getattr(self._base, self._key, ABSENT)
        try:
            return self._base[self._key]
        except (KeyError, IndexError):
            return ABSENT


def evaluated(node: ast.expr, names: dict[str, Any]) -> Any:
    """Return the value of an expression, whatever its context."""
    code = compile(ast.parse(ast.unparse(node), mode="eval"), "<edit>", "eval")
    return eval(code, names)


def index_of(node: ast.Subscript, names: dict[str, Any]) -> Any:
    """Return the value of any index."""
    holder = ast.Subscript(ast.Name("_the_index_of", ast.Load()), node.slice, ast.Load())
    return evaluated(holder, {**names, "_the_index_of": np.s_})
