"""The statements at which an error can have entered."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType

import numpy as np

from pytest_gradcheck.diagnosis.line.marks import Graph, Marks, numbers_in
from pytest_gradcheck.diagnosis.line.recording.source import Statement
from pytest_gradcheck.diagnosis.line.recording.values import Value, is_path

__all__ = ["Suspects", "suspects", "weight_of"]

Callers = Callable[[CodeType], Iterable[Statement]]

EMPTY = ("empty", "empty_like", "zeros", "zeros_like")
"""Functions that make arrays to be filled."""

COMPUTES = 4
"""Rank of a statement that does more than to pass on the result of a call."""


@dataclass(frozen=True)
class Suspects:
    """Statements at which the error can have entered.

    Attributes
    ----------
    statements : tuple of Statement
        The likeliest, in the order of the file; none where nothing is known.
    ranks : mapping
        All possible statements, with their likelihood.
    proven : frozenset of Statement
        Statements that have been right at least once.
    """

    statements: tuple[Statement, ...]
    ranks: Mapping[Statement, int]
    proven: frozenset[Statement]


def suspects(
    graph: Graph, marks: Marks, blameable: int, foreign: int, callers: Callers
) -> Suspects:
    """Return the statements that all wrong values depend on, and no right value.

    Parameters
    ----------
    graph : Graph
    marks : Marks
    blameable, foreign : int
        The values of the backward pass, and those of the forward pass.
    callers : callable
        Returns the statements that call a function.
    """
    cleared = graph.proven_by(marks.right - marks.wrong, marks.wrong)
    weakly = graph.made_of(marks.right - marks.wrong)
    proven = _proven(graph, cleared)
    codes = {value.statement: value.code for value in graph.values}
    best: Suspects | None = None
    for wrong in (marks.wrong, marks.certain, marks.returned):
        found = _firsts(graph, wrong, blameable & ~cleared)
        shared = _common(graph, found)
        if not shared:
            continue
        ranks = _ranks(graph, found, shared, weakly, foreign)
        for statement in proven & ranks.keys():
            ranks[statement] -= ranks[statement] % 2
        _blame_callers(ranks, proven, codes, callers)
        # A statement that was right before may have wrong inputs now.
        fresh = {s: rank for s, rank in ranks.items() if s not in proven and rank > 1}
        likeliest = _likeliest(ranks)
        likeliest = _likeliest(fresh) if fresh and likeliest <= proven else likeliest
        told = () if _is_handed_in(graph, wrong, cleared) else _sorted(likeliest)
        if not likeliest <= proven or max(ranks.values()) >= COMPUTES:
            best = best or Suspects(told, ranks, proven)
        if not likeliest <= proven:
            return Suspects(told, ranks, proven)
    if best is not None:
        return best
    for wrong in (marks.wrong, marks.returned):  # two errors may cancel, so that a value is right
        shared = _common(graph, _firsts(graph, wrong, blameable))
        if shared:
            return Suspects((), dict.fromkeys(shared, 1), frozenset())
    return Suspects((), {}, frozenset())


def _is_handed_in(graph: Graph, wrong: Iterable[int], cleared: int) -> bool:
    """Return whether wrong values depend on arrays whose inputs are not recorded."""
    return any(graph.made_of([number]) & graph.foreign & ~cleared for number in wrong)


def _blame_callers(
    ranks: dict[Statement, int],
    proven: Collection[Statement],
    codes: Mapping[Statement | None, CodeType],
    callers: Callers,
) -> None:
    """Rank the callers of a function that was right before like the function."""
    for statement in _sorted(ranks):
        if statement in proven and ranks[statement] > COMPUTES:
            for caller in callers(codes[statement]):
                if caller in ranks and caller not in proven:
                    ranks[caller] = max(ranks[caller], ranks[statement] | 1)


def _likeliest(ranks: Mapping[Statement, int]) -> set[Statement]:
    return {s for s, rank in ranks.items() if rank == max(ranks.values()) and rank > 0}


def _proven(graph: Graph, cleared: int) -> frozenset[Statement]:
    """Return the statements that have been right at least once with a value other than 0."""
    return frozenset(
        value.statement
        for value in graph.values
        if cleared >> value.number & 1 and value.size
        if value.kind == "computed" or (value.kind == "passed" and value.expression is not None)
        if value.statement is not None and value.array is not None and value.array.any()
    )


def _firsts(graph: Graph, wrong: Iterable[int], within: int) -> list[list[int]]:
    """Return the inputs of each wrong value without a wrong input."""
    bits = sum(1 << number for number in wrong)
    return [
        list(numbers_in(graph.made_of([number]) & within))
        for number in sorted(wrong)
        if not graph.made_of([number]) & bits & ~(1 << number)
    ]


def _common(graph: Graph, found: Sequence[Sequence[int]]) -> set[Statement]:
    sets = [
        {statement for n in numbers if (statement := graph.values[n].statement) is not None}
        for numbers in found
    ]
    return set.intersection(*sets) if sets else set()


def _ranks(
    graph: Graph, found: Sequence[Sequence[int]], shared: set[Statement], weakly: int, foreign: int
) -> dict[Statement, int]:
    """Return the ranks of statements, by what they do and whether right values depend on them."""
    ranks = dict.fromkeys(_sorted(shared), 0)
    for numbers in found:
        for number in numbers:
            value = graph.values[number]
            if value.statement in ranks and (weight := weight_of(graph, value, foreign)):
                rank = 2 * weight + (not weakly >> number & 1)
                ranks[value.statement] = max(ranks[value.statement], rank)
    return ranks


def _sorted(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    return tuple(sorted(statements, key=lambda s: (s.file, s.line)))


def weight_of(graph: Graph, value: Value, foreign: int = 0) -> int:
    """Return the likelihood of an error in a statement, from 0 to 3.

    It is 0 for a statement that unpacks a container, starts a loop or makes an array to be filled,
    1 for one that passes on the result of a call, and 2 for one that reads an existing value,
    counts something or copies.
    """
    statement, node = value.statement, value.expression
    if statement is None or statement.is_loop or value.kind == "given":
        return 0
    if value.kind == "passed":
        return 3 if any(foreign >> number & 1 for number in value.reads) else 1
    if node is None or value.effect is None:
        return 3
    if value.effect.unpacked and (is_path(node) or isinstance(node, ast.Attribute)):
        return 0
    if isinstance(node, ast.Attribute) and node.attr == "shape":
        return 0
    if _makes_room(value, node):
        return 0
    if is_path(node) and not value.effect.augmented:
        own = node.attr if isinstance(node, ast.Attribute) else _key(node)
        same = isinstance(value.effect.target, ast.Name) and own == value.effect.target.id
        return 2 if same and not value.inplace else 3
    if value.whole is not None:
        return 2
    return 2 if isinstance(node, ast.Call) and _is_copy(graph, value) else 3


def _key(node: ast.expr) -> object:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value
    return None


def _makes_room(value: Value, node: ast.expr) -> bool:
    name = ast.unparse(node.func).split(".")[-1] if isinstance(node, ast.Call) else ""
    is_zero = value.array is not None and not value.array.any()
    return name in EMPTY or (
        is_zero and (isinstance(node, ast.Constant) or "zeros" in ast.unparse(node))
    )


def _is_copy(graph: Graph, value: Value) -> bool:
    arrays = [graph.values[number].array for number in value.reads]
    return value.array is not None and any(
        array is not None and np.array_equal(array, value.array) for array in arrays
    )
