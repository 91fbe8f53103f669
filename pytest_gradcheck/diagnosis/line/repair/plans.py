"""The names that statements read and write, and the code that runs them again."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import CodeType

from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.repair.edits import changed_by

__all__ = ["VALUE", "Plan", "planned", "storing"]

VALUE = "_the_value_of"
"""Stands for the value of a statement's expression."""

SIMPLE = (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return, ast.Expr, ast.Pass)
"""Types of statements that can run again; all others start or leave a block."""


@dataclass(frozen=True)
class Plan:
    """The names that a statement reads and writes; `code` is None if it cannot run again.

    Attributes
    ----------
    reads, binds, changes : frozenset of str
        Names that it reads, names that it assigns, and names whose objects it may change.
    code, store : code or None
        The code of the statement, and code that assigns another value to its target.
    targets : tuple of (str, code)
        Each target, with code that reads it, or the array that it is a part of.
    returns, branches : bool
        Whether it is a return, and whether it starts a block.
    """

    reads: frozenset[str]
    binds: frozenset[str]
    changes: frozenset[str]
    code: CodeType | None
    store: CodeType | None
    targets: tuple[tuple[str, CodeType], ...] = ()
    returns: bool = False
    branches: bool = False

    @cached_property
    def touched(self) -> frozenset[str]:
        """The names that it reads or may write into."""
        return self.reads | self.changes


def planned(statement: Statement, attributes: frozenset[str]) -> Plan:
    """Return the plan of a statement; `attributes` are those that its function assigns."""
    heads = tuple(_head(statement.nodes[0]))
    parts = [part for node in heads or statement.nodes for part in ast.walk(node)]
    names = [part for part in parts if isinstance(part, ast.Name)]
    reads = frozenset(name.id for name in names if isinstance(name.ctx, ast.Load))
    binds = frozenset(name.id for name in names if isinstance(name.ctx, ast.Store))
    changes = frozenset(name for part in parts for name in changed_by(part))
    if heads or not isinstance(statement.nodes[0], SIMPLE):
        return Plan(reads, binds, changes, None, None, branches=True)
    node = statement.nodes[0]
    alone = len(statement.nodes) == 1
    targets = _targets(node)
    touched = (p for p in parts if isinstance(p, ast.Attribute))
    sets = any(isinstance(p.ctx, ast.Store) or p.attr in attributes for p in touched)
    if sets or any(map(_is_in_object, targets)):
        return Plan(reads, binds, changes, None, None)  # objects are not copied
    store: ast.stmt | None = None
    body: list[ast.stmt] = list(statement.nodes)
    value = ast.Name(VALUE, ast.Load())
    if isinstance(node, ast.Return):
        store = ast.Pass()
        body = [ast.Assign([ast.Name(VALUE, ast.Store())], node.value or ast.Constant(None))]
    elif targets:
        store = ast.Assign(list(targets), value)
    checked = [pair for target in targets for pair in _with_base(target)]
    if isinstance(node, ast.Expr):
        checked = [("", ast.Name(name, ast.Load())) for name in sorted(changes)]
    elif isinstance(node, ast.Return):
        checked = [("", value)]
    return Plan(
        reads,
        binds,
        changes,
        _compiled(body),
        _compiled([store]) if alone and store is not None else None,
        tuple((target, _expression(part)) for target, part in checked),
        returns=isinstance(node, ast.Return),
    )


def _is_in_object(target: ast.expr) -> bool:
    """Return whether a target is part of an attribute's object."""
    node = target
    while isinstance(node, (ast.Subscript, ast.Attribute)):
        if isinstance(node, ast.Attribute) and node.attr != "T":
            return True
        node = node.value
    return isinstance(node, (ast.Tuple, ast.List)) and any(map(_is_in_object, node.elts))


def _head(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, (ast.For, ast.AsyncFor)):
        yield from (node.target, node.iter)
    elif isinstance(node, (ast.If, ast.While)):
        yield node.test
    elif isinstance(node, (ast.With, ast.AsyncWith)):
        yield from node.items


def _targets(node: ast.stmt) -> tuple[ast.expr, ...]:
    if isinstance(node, ast.Assign):
        return tuple(node.targets)
    return (node.target,) if isinstance(node, (ast.AugAssign, ast.AnnAssign)) else ()


def _with_base(target: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Yield a target with the array that it is a part of, and with itself."""
    if isinstance(target, (ast.Tuple, ast.List)):
        for part in target.elts:
            yield from _with_base(part)
        return
    if isinstance(target, ast.Subscript):
        yield ast.unparse(target), target.value
    yield ast.unparse(target), target


def _compiled(body: Sequence[ast.stmt]) -> CodeType:
    module = ast.Module([_copied(node) for node in body], [])
    return compile(ast.fix_missing_locations(module), "<replay>", "exec")


def _copied(node: ast.stmt) -> ast.stmt:
    return ast.parse(ast.unparse(ast.fix_missing_locations(node))).body[0]


@lru_cache(maxsize=256)
def storing(target: str) -> CodeType:
    """Return code that assigns the value of a statement to another target."""
    return compile(f"{target} = {VALUE}", "<replay>", "exec")


def _expression(target: ast.expr) -> CodeType:
    return compile(ast.unparse(target), "<replay>", "eval")
