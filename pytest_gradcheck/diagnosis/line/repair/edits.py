"""What a statement may have been before a slip: other values for it, the likelier first."""

from __future__ import annotations

import ast
import copy
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import CodeType
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.recording.values import (
    MISSING,
    Scope,
    entries,
    is_container,
    is_float,
)

__all__ = ["LEVELS", "Edit", "Guess", "Workshop", "expression_of", "is_harmless"]

LEVELS = 4
"""A sign or an operator turned; a name exchanged; a factor or a term lost; anything else."""

NEAR = 1e-6
"""Distance from 1 at which a factor is not written."""

KNOWN = 40
"""Names in sight that are tried."""

SWAPS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.MatMult),
    ast.Div: (ast.Mult,),
    ast.MatMult: (ast.Mult,),
}
FLIPS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.Lt, ast.LtE),
    ast.Lt: (ast.Gt, ast.GtE),
    ast.GtE: (ast.Lt,),
    ast.LtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
}
LOCATED = ast.fix_missing_locations(ast.Constant(0))
"""Where new parts of an expression are said to stand."""

PURE = ("numpy", "math", "scipy", "cmath")
"""Packages whose functions change nothing."""

BUILTINS = (
    *("abs", "sum", "len", "float", "int", "min", "max", "range", "zip", "reversed"),
    *("list", "tuple", "dict", "pow", "enumerate", "slice", "round"),
)


@dataclass(frozen=True)
class Edit:
    """Another value for a statement.

    Attributes
    ----------
    level : int
        How far it is from what stands there.
    code : code
    spell : callable
        Returns its source.
    """

    level: int
    code: CodeType
    spell: Callable[[], str]

    @property
    def text(self) -> str:
        """Its source."""
        return self.spell()


def expression_of(statement: Statement) -> ast.expr | None:
    """Return what a statement evaluates, as one expression of what was there before, or None."""
    if len(statement.nodes) != 1:
        return None
    node = copy.deepcopy(statement.nodes[0])
    if isinstance(node, ast.AugAssign):
        target = copy.deepcopy(node.target)
        target.ctx = ast.Load()
        return ast.BinOp(target, node.op, node.value)
    if isinstance(node, ast.Assign):
        return node.value if len(node.targets) == 1 else None
    return node.value if isinstance(node, (ast.AnnAssign, ast.Return)) else None


def is_harmless(node: ast.expr, scope: Scope) -> bool:
    """Return whether an expression can be evaluated another time: it calls but pure functions."""
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
        own = isinstance(value, types.FunctionType)  # which the statement itself calls as well
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
    return base is MISSING or isinstance(base, (np.ndarray, np.generic, float))


def _package(value: object) -> str:
    return str(getattr(value, "__module__", "")).split(".")[0]


@dataclass(frozen=True)
class Guess:
    """An edit that lacks a number: `of` makes it, or returns None."""

    of: Callable[[float], Edit | None]


@dataclass(frozen=True)
class _Site:
    """A part of an expression, and where it hangs."""

    parent: ast.AST
    field: str
    position: int | None
    part: ast.expr

    def put(self, new: ast.expr) -> None:
        if self.position is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.position] = new


class Workshop:
    """Makes the edits of one statement.

    Parameters
    ----------
    node : ast.expr
        What it evaluates.
    function : ast node or None
        The function around it, whose names are tried.
    scope : Scope
    """

    def __init__(self, node: ast.expr, function: ast.AST | None, scope: Scope) -> None:
        self._root = ast.fix_missing_locations(ast.Expression(node))
        self._known = _known(function, scope)
        self._indices = set(map(id, _indices(node)))
        self._sites = [
            _Site(parent, name, position, part)
            for parent in ast.walk(self._root)
            for name, position, part in _children(parent)
        ]

    def edits(self, level: int) -> Iterator[Edit]:
        """Yield the edits of a level."""
        for site in self._sites:
            for cost, new in self._others(site):
                if cost == level:
                    yield from self._edit(site, new, level)

    def factors(self) -> Iterator[Guess]:
        """Yield parts that a factor may make right."""
        for site in self._sites:
            if isinstance(site.part, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.Call)):
                yield Guess(partial(self._scaled, site, site.part))

    def additions(self) -> Iterator[Guess]:
        """Yield terms that may be missing, but for a factor."""
        root = self._root.body
        whole = next(site for site in self._sites if site.part is root)
        for term in self._terms():
            yield Guess(partial(self._added, whole, term))

    def _scaled(self, site: _Site, part: ast.expr, factor: float) -> Edit | None:
        new = ast.BinOp(ast.Constant(factor), ast.Mult(), part)
        return next(self._edit(site, new, LEVELS), None)

    def _added(self, whole: _Site, term: ast.expr, factor: float) -> Edit | None:
        new = ast.BinOp(ast.Constant(factor), ast.Mult(), term)
        near = abs(abs(factor) - 1) < NEAR
        sign = ast.Sub() if factor < 0 else ast.Add()
        full = ast.BinOp(whole.part, sign if near else ast.Add(), term if near else new)
        return next(self._edit(whole, full, LEVELS), None)

    def _terms(self) -> Iterator[ast.expr]:
        """Yield names in sight, and products of two matrices."""
        yield from (node for node, shape in self._known.values() if shape)
        matrices = [node for node, shape in self._known.values() if len(shape) == 2]
        for one in matrices:
            for two in matrices:
                yield ast.BinOp(one, ast.MatMult(), two)
                yield ast.BinOp(ast.Attribute(one, "T", ast.Load()), ast.MatMult(), two)
                yield ast.BinOp(one, ast.MatMult(), ast.Attribute(two, "T", ast.Load()))

    def original(self) -> CodeType:
        """Return the code of the expression as it is."""
        return compile(self._root, "<edit>", "eval")

    def _edit(self, site: _Site, new: ast.expr, level: int) -> Iterator[Edit]:
        site.put(new)
        try:
            _locate(new)
            code = compile(self._root, "<edit>", "eval")
        except (SyntaxError, ValueError, TypeError):
            return
        finally:
            site.put(site.part)
        yield Edit(level, code, partial(self._spelled, site, new))

    def _spelled(self, site: _Site, new: ast.expr) -> str:
        site.put(new)
        try:
            return ast.unparse(self._root)
        finally:
            site.put(site.part)

    def _others(self, site: _Site) -> Iterator[tuple[int, ast.expr]]:
        """Yield what a part may have been, by level."""
        part = site.part
        yield from _slips(part)
        if id(part) in self._indices:
            yield 1, ast.BinOp(part, ast.Add(), ast.Constant(1))
            yield 1, ast.BinOp(part, ast.Sub(), ast.Constant(1))
        text = (
            ast.unparse(part) if isinstance(part, (ast.Name, ast.Attribute, ast.Subscript)) else ""
        )
        shape = self._known[text][1] if text in self._known else None
        if shape is not None:
            if shape:
                yield 1, ast.Attribute(part, "T", ast.Load())
            for other, (node, its_shape) in self._known.items():
                if other != text:
                    yield (1 if its_shape == shape else 3), node
        if isinstance(part, ast.Constant) and isinstance(part.value, (int, float)):
            yield from self._remainders(part)
        elif shape is not None or isinstance(part, (ast.BinOp, ast.Call, ast.Compare)):
            yield from self._completed(part, is_whole=site.parent is self._root)

    def _completed(self, part: ast.expr, is_whole: bool) -> Iterator[tuple[int, ast.expr]]:
        """Yield a part with a sign, a factor or a term that may have got lost."""
        two, one = ast.Constant(2), ast.Constant(1)
        yield 1, ast.UnaryOp(ast.USub(), part)
        yield 1, ast.BinOp(one, ast.Sub(), part)
        yield 1, ast.BinOp(two, ast.Mult(), part)
        yield 1, ast.BinOp(part, ast.Div(), two)
        yield 1, ast.BinOp(part, ast.Pow(), two)
        for node, shape in self._known.values():
            level = 2 if is_whole or not shape else 3
            for op in (ast.Mult(), ast.Div(), ast.Add(), ast.Sub()):
                yield level, ast.BinOp(part, op, node)
            yield level, ast.BinOp(node, ast.Sub(), part)
            if shape and is_whole:
                for slope in (
                    ast.BinOp(one, ast.Sub(), node),
                    ast.BinOp(one, ast.Sub(), ast.BinOp(node, ast.Pow(), two)),
                    ast.BinOp(node, ast.Mult(), ast.BinOp(one, ast.Sub(), node)),
                    ast.Compare(node, [ast.Gt()], [ast.Constant(0)]),
                ):
                    yield 2, ast.BinOp(part, ast.Mult(), slope)

    def _remainders(self, part: ast.expr) -> Iterator[tuple[int, ast.expr]]:
        """Yield a number less what may have been taken from it."""
        nodes = [node for node, _ in self._known.values()]
        for node in nodes:
            yield 3, ast.BinOp(part, ast.Sub(), node)
            yield 3, ast.BinOp(part, ast.Sub(), ast.BinOp(node, ast.Pow(), ast.Constant(2)))
        for i, node in enumerate(nodes):
            for other in nodes[:i]:
                yield 3, ast.BinOp(part, ast.Sub(), ast.BinOp(node, ast.Mult(), other))


def _indices(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the names by which entries are picked."""
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript):
            index = part.slice
            keys = index.elts if isinstance(index, ast.Tuple) else [index]
            yield from (key for key in keys if isinstance(key, ast.Name))


def _locate(node: ast.AST) -> None:
    """Give new nodes the location that compiling asks for."""
    if "lineno" in node._attributes:
        if hasattr(node, "lineno"):
            return
        ast.copy_location(node, LOCATED)
    for child in ast.iter_child_nodes(node):
        _locate(child)


def _children(parent: ast.AST) -> Iterator[tuple[str, int | None, ast.expr]]:
    for name, value in ast.iter_fields(parent):
        if isinstance(value, ast.expr):
            yield name, None, value
        elif isinstance(value, list):
            for position, item in enumerate(value):
                if isinstance(item, ast.expr):
                    yield name, position, item


def _known(function: ast.AST | None, scope: Scope) -> Mapping[str, tuple[ast.expr, Any]]:
    """Return the numbers and arrays in sight of a function, as expressions, and their shapes.

    What it names comes first. What it does not name may be what it lacks.
    """
    found: dict[str, tuple[ast.expr, Any]] = {}
    for part in (*_named(function), *_unnamed(scope)):
        text = ast.unparse(part) if len(found) < KNOWN else ""
        value = scope.resolve(part) if text and text not in found else MISSING
        whole = isinstance(value, (int, np.integer, np.ndarray)) and not isinstance(value, bool)
        if is_float(value) or whole:
            found[text] = (part, np.shape(value))
    return found


def _named(function: ast.AST | None) -> Iterator[ast.expr]:
    """Yield the names, attributes and entries that a function reads."""
    for part in ast.walk(function) if function is not None else ():
        if not isinstance(part, (ast.Name, ast.Attribute, ast.Subscript)):
            continue
        if isinstance(part.ctx, ast.Load) and getattr(part, "attr", "") not in ("T", "shape"):
            yield part


def _unnamed(scope: Scope) -> Iterator[ast.expr]:
    """Yield all that stands in sight: locals, entries under a name, attributes."""
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


def _slips(part: ast.expr) -> Iterator[tuple[int, ast.expr]]:
    """Yield what a part may have been before a slip that needs no other name."""
    if isinstance(part, ast.BinOp):
        for op in SWAPS.get(type(part.op), ()):
            yield 0, ast.BinOp(part.left, op(), part.right)
        plain = isinstance(part.left, ast.Constant) or isinstance(part.right, ast.Constant)
        level = 0 if plain and isinstance(part.op, (ast.Mult, ast.Div)) else 2
        if isinstance(part.op, (ast.Mult, ast.Div, ast.Add, ast.Sub)):
            yield level, part.left
            if not isinstance(part.op, ast.Div):
                yield level, part.right
    elif isinstance(part, ast.Compare):
        for comparison in FLIPS.get(type(part.ops[0]), ()):
            yield 0, ast.Compare(part.left, [comparison()], part.comparators)
    elif isinstance(part, ast.UnaryOp) and isinstance(part.op, ast.USub):
        yield 0, part.operand
    elif isinstance(part, ast.Attribute) and part.attr == "T":
        yield 0, part.value
    elif isinstance(part, ast.Constant) and type(part.value) in (int, float):
        number: Any = part.value
        whole = type(number) is int and number % 2 == 0
        yield 0, ast.Constant(number // 2 if whole else number / 2)
        yield 0, ast.Constant(1 - number if number in (0, 1) else 2 * number)
        if type(number) is int:
            yield 1, ast.Constant(number + 1)
            yield 1, ast.Constant(number - 1)
