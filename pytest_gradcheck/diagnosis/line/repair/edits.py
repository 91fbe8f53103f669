"""Small edits of a statement's expression, the likelier ones first."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from types import CodeType
from typing import Any

from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.repair.sight import InSight

__all__ = [
    "LEVELS",
    "Edit",
    "Guess",
    "Site",
    "Workshop",
    "changed_by",
    "expression_of",
    "root_of",
    "written_by",
]

LEVELS = 4
"""Levels: an operator; a name; a lost factor or term; anything else."""

NEAR = 1e-6
"""Distance from 1 within which a factor is left out of the text."""


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
"""The position that new nodes get."""


@dataclass(frozen=True)
class Edit:
    """Another expression or target for a statement.

    Attributes
    ----------
    level : int
        The level of its change.
    code : code
    spell : callable
        Returns its source.
    target : ast.expr or None
        The new target, if it changes the target.
    """

    level: int
    code: CodeType
    spell: Callable[[], str]
    target: ast.Subscript | ast.Attribute | None = None

    @property
    def text(self) -> str:
        """Its source."""
        return self.spell()


def expression_of(statement: Statement) -> ast.expr | None:
    """Return the new value of a statement's target as one expression, or None."""
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


@dataclass(frozen=True)
class Guess:
    """An edit with an unknown factor; `of` inserts the factor, or returns None."""

    of: Callable[[float], Edit | None]


@dataclass(frozen=True)
class Site:
    """A node of an expression, with its parent."""

    parent: ast.AST
    field: str
    position: int | None
    part: ast.expr

    def put(self, new: ast.expr) -> None:
        """Put another node in its place."""
        if self.position is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.position] = new


Replacements = Callable[[Site], Iterator[tuple[int, ast.expr]]]
"""Yields replacements of a node, with their levels."""


class Workshop:
    """Makes the edits of one statement.

    Parameters
    ----------
    node : ast.expr
        What it evaluates.
    seen : InSight
    target : str
        The target. The old value that a sum adds to is not edited.
    """

    def __init__(self, node: ast.expr, seen: InSight, target: str = "") -> None:
        self._root = ast.fix_missing_locations(ast.Expression(node))
        self._known = seen.numbers
        self._others_of = {
            id(part.value if isinstance(part, ast.Subscript) else part.func): (
                seen.containers if isinstance(part, ast.Subscript) else seen.functions
            )
            for part in ast.walk(node)
            if isinstance(part, (ast.Subscript, ast.Call))
        }
        self._wholes = {id(node)}
        if isinstance(node, ast.BinOp) and ast.unparse(node.left) == target:
            self._wholes.add(id(node.right))  # what is added
        self._indices = set(map(id, _indices(node)))
        self._sites = [
            Site(parent, name, position, part)
            for parent in ast.walk(self._root)
            for name, position, part in _children(parent)
            if not (parent is node and name == "left" and ast.unparse(part) == target)
        ]

    def edits(self, level: int) -> Iterator[Edit]:
        """Yield the edits of a level, with another name and another operation in turn."""
        for several in zip_longest(self._all(self._by_name, level), self._all(self._others, level)):
            yield from (edit for edit in several if edit is not None)

    def _all(self, source: Replacements, level: int) -> Iterator[Edit]:
        for site in self._sites:
            for cost, new in source(site):
                if cost == level:
                    yield from self._edit(site, new, level)

    def _by_name(self, site: Site) -> Iterator[tuple[int, ast.expr]]:
        return self._exchanged(site.part)

    def factors(self) -> Iterator[Guess]:
        """Yield guesses with a factor at one node."""
        for site in self._sites:
            if isinstance(site.part, (ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.Call)):
                yield Guess(partial(self._scaled, site, site.part))

    def additions(self) -> Iterator[Guess]:
        """Yield guesses with an added term."""
        root = self._root.body
        whole = next(site for site in self._sites if site.part is root)
        for term in self._terms():
            yield Guess(partial(self._added, whole, term))

    def _scaled(self, site: Site, part: ast.expr, factor: float) -> Edit | None:
        new = ast.BinOp(ast.Constant(factor), ast.Mult(), part)
        return next(self._edit(site, new, LEVELS), None)

    def _added(self, whole: Site, term: ast.expr, factor: float) -> Edit | None:
        new = ast.BinOp(ast.Constant(factor), ast.Mult(), term)
        near = abs(abs(factor) - 1) < NEAR
        sign = ast.Sub() if factor < 0 else ast.Add()
        full = ast.BinOp(whole.part, sign if near else ast.Add(), term if near else new)
        return next(self._edit(whole, full, LEVELS), None)

    def _terms(self) -> Iterator[ast.expr]:
        """Yield the names in sight, and products of two matrices."""
        yield from (node for node, shape in self._known.values() if shape)
        matrices = [node for node, shape in self._known.values() if len(shape) == 2]
        for one in matrices:
            for two in matrices:
                yield ast.BinOp(one, ast.MatMult(), two)
                yield ast.BinOp(ast.Attribute(one, "T", ast.Load()), ast.MatMult(), two)
                yield ast.BinOp(one, ast.MatMult(), ast.Attribute(two, "T", ast.Load()))

    def original(self) -> CodeType:
        """Return the code of the unchanged expression."""
        return compile(self._root, "<edit>", "eval")

    def _edit(self, site: Site, new: ast.expr, level: int) -> Iterator[Edit]:
        site.put(new)
        try:
            _locate(new)
            code = compile(self._root, "<edit>", "eval")
        except (SyntaxError, ValueError, TypeError):
            return
        finally:
            site.put(site.part)
        yield Edit(level, code, partial(self._spelled, site, new))

    def _spelled(self, site: Site, new: ast.expr) -> str:
        site.put(new)
        try:
            return ast.unparse(self._root)
        finally:
            site.put(site.part)

    def _others(self, site: Site) -> Iterator[tuple[int, ast.expr]]:
        """Yield replacements of a node, with their levels."""
        part = site.part
        shape = self._shape(part)
        if isinstance(part, ast.Constant) and isinstance(part.value, (int, float)):
            yield from self._remainders(part)
        elif shape is not None or isinstance(part, (ast.BinOp, ast.Call, ast.Compare)):
            yield from self._completed(part, is_whole=id(part) in self._wholes)

    def _exchanged(self, part: ast.expr) -> Iterator[tuple[int, ast.expr]]:
        """Yield other names and operators for a node, with their levels."""
        yield from _slips(part)
        if isinstance(part, ast.Name):
            for name in self._others_of.get(id(part), ()):
                if name != part.id:
                    yield 1, ast.Name(name, ast.Load())
        if id(part) in self._indices:
            yield 1, ast.BinOp(part, ast.Add(), ast.Constant(1))
            yield 1, ast.BinOp(part, ast.Sub(), ast.Constant(1))
        shape = self._shape(part)
        if shape is None and id(part) in self._indices:
            shape = ()
        if shape is None:
            return
        if shape:
            yield 1, ast.Attribute(part, "T", ast.Load())
        text = ast.unparse(part)
        for other, (node, its_shape) in self._known.items():
            if other != text:
                yield (1 if its_shape == shape else 3), node

    def _shape(self, part: ast.expr) -> Any:
        """Return the shape of a number or an array in sight, or None."""
        if not isinstance(part, (ast.Name, ast.Attribute, ast.Subscript)):
            return None
        text = ast.unparse(part)
        return self._known[text][1] if text in self._known else None

    def _completed(self, part: ast.expr, is_whole: bool) -> Iterator[tuple[int, ast.expr]]:
        """Yield a node with a sign, a factor or a term that may be missing."""
        two, one = ast.Constant(2), ast.Constant(1)
        yield 1, ast.UnaryOp(ast.USub(), part)
        yield 1, ast.BinOp(one, ast.Sub(), part)
        yield 1, ast.BinOp(two, ast.Mult(), part)
        yield 1, ast.BinOp(part, ast.Div(), two)
        yield 1, ast.BinOp(part, ast.Pow(), two)
        yield 2, ast.BinOp(part, ast.Sub(), one)
        yield 2, ast.BinOp(part, ast.Add(), one)
        for node, shape in self._known.values():
            level = 2 if is_whole or not shape else 3
            for op in (ast.Mult(), ast.Div(), ast.Add(), ast.Sub()):
                yield level, ast.BinOp(part, op, node)
            yield level, ast.BinOp(node, ast.Sub(), part)
            if is_whole:
                for slope in (
                    ast.BinOp(one, ast.Sub(), node),
                    ast.BinOp(node, ast.Sub(), one),
                    ast.BinOp(one, ast.Sub(), ast.BinOp(node, ast.Pow(), two)),
                    ast.BinOp(node, ast.Mult(), ast.BinOp(one, ast.Sub(), node)),
                    ast.Compare(node, [ast.Gt()], [ast.Constant(0)]),
                ):
                    yield 2, ast.BinOp(part, ast.Mult(), slope)

    def _remainders(self, part: ast.expr) -> Iterator[tuple[int, ast.expr]]:
        """Yield a number minus a term that may be missing."""
        nodes = [node for node, _ in self._known.values()]
        for node in nodes:
            yield 3, ast.BinOp(part, ast.Sub(), node)
            yield 3, ast.BinOp(node, ast.Sub(), part)
            yield 3, ast.BinOp(part, ast.Sub(), ast.BinOp(node, ast.Pow(), ast.Constant(2)))
        for i, node in enumerate(nodes):
            for other in nodes[:i]:
                yield 3, ast.BinOp(part, ast.Sub(), ast.BinOp(node, ast.Mult(), other))


def _indices(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the names in indices."""
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript):
            index = part.slice
            keys = index.elts if isinstance(index, ast.Tuple) else [index]
            yield from (key for key in keys if isinstance(key, ast.Name))


def _locate(node: ast.AST) -> None:
    """Give new nodes a location, which compiling needs."""
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


def _slips(part: ast.expr) -> Iterator[tuple[int, ast.expr]]:
    """Yield replacements of a node that need no other name, with their levels."""
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
            yield 1, ast.UnaryOp(ast.USub(), part)


def written_by(function: ast.AST | None) -> tuple[frozenset[str], frozenset[str]]:
    """Return the names whose objects a function may write into, and the attributes it assigns."""
    parts = [] if function is None else list(ast.walk(function))
    names = frozenset(name for part in parts for name in changed_by(part))
    attributes = frozenset(
        part.attr
        for part in parts
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store)
    )
    return names, attributes


def changed_by(part: ast.AST) -> Iterator[str]:
    """Yield the names whose objects a node may write into."""
    if isinstance(part, ast.AugAssign):
        yield from root_of(part.target)
    elif isinstance(part, ast.Subscript) and isinstance(part.ctx, ast.Store):
        yield from root_of(part)
    elif isinstance(part, ast.keyword) and part.arg == "out":
        yield from root_of(part.value)
    elif isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
        call = part.value
        for node in (*call.args, call.func.value if isinstance(call.func, ast.Attribute) else None):
            yield from root_of(node)


def root_of(node: ast.AST | None) -> Iterator[str]:
    """Yield the first name in a chain of entries and attributes."""
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        node = node.value
    if isinstance(node, ast.Name):
        yield node.id
