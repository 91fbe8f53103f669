"""Random mutations of one line of a backward pass, as slips of the pen make them.

An operator, a transpose, a factor, a wrong variable, a lost term.
"""

from __future__ import annotations

import ast
import copy
import linecache
import random
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutant", "loaded", "mutants", "styles"]

FOLDER = Path(__file__).parent / "backward_passes"

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Gt: ast.Lt,
    ast.Lt: ast.Gt,
    ast.GtE: ast.Lt,
    ast.LtE: ast.Gt,
}
FUNCTIONS = ("np", "range", "len", "zip", "reversed", "sum")

Change = Callable[[ast.AST], ast.AST | None]
"""Changes a node, or returns what stands for it."""


@dataclass(frozen=True)
class Mutant:
    """A module with one line changed."""

    style: str
    kind: str
    line: int
    text: str


def styles() -> list[str]:
    """Return the names of all modules."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def loaded(style: str, text: str, number: int) -> types.ModuleType:
    """Return a module made of a text, whose lines can be looked up as those of a file."""
    file = str(FOLDER / f"{style}-{number}.py")
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    module = types.ModuleType(f"mutant_of_{style}")
    module.__file__ = file
    sys.modules[module.__name__] = module
    exec(compile(text, file, "exec"), module.__dict__)
    return module


def mutants(style: str, seed: int) -> Iterator[Mutant]:
    """Yield mutants of a module without end."""
    rng = random.Random(f"{style} {seed}")
    text = (FOLDER / f"{style}.py").read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    pool = [
        (function, statement)
        for function in _backward(tree)
        for statement in _statements(function, lines)
    ]
    while True:
        function, statement = rng.choice(pool)
        changes = _changes(statement, _names(function))
        if not changes:
            continue
        kind = rng.choice(sorted({kind for kind, _, _ in changes}))
        _, number, change = rng.choice([one for one in changes if one[0] == kind])
        code = _changed(statement, number, change)
        if code == ast.unparse(statement):
            continue
        first, last = statement.lineno - 1, statement.end_lineno or statement.lineno
        new = [" " * statement.col_offset + code, *[""] * (last - first - 1)]
        yield Mutant(style, kind, first + 1, "\n".join([*lines[:first], *new, *lines[last:], ""]))


def _backward(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    wanted: tuple[str, ...] = ()
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "BACKWARD":
            wanted = ast.literal_eval(node.value)
    for name, function in _functions(tree, ""):
        if name in wanted:
            yield function


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.ClassDef)):
            if isinstance(child, ast.FunctionDef):
                yield prefix + child.name, child
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.stmt):
            yield from _functions(child, prefix)


def _statements(function: ast.FunctionDef, lines: list[str]) -> Iterator[ast.stmt]:
    """Yield the simple statements of a function's backward pass."""
    last = function.end_lineno or function.lineno
    marks = [n for n in range(function.lineno, last) if lines[n].strip() == "# backward"]
    for node in _of_block(function.body):
        value = getattr(node, "value", None)
        if node.lineno > (marks[0] if marks else 0) and not isinstance(value, ast.Constant | None):
            yield node


def _of_block(block: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in block:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            continue
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.Return, ast.Expr)):
            yield node
        for name in ("body", "orelse"):
            yield from _of_block(getattr(node, name, []))


def _names(function: ast.FunctionDef) -> list[str]:
    found = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    return sorted(found - set(FUNCTIONS) | {argument.arg for argument in function.args.args})


def _changes(statement: ast.stmt, names: list[str]) -> list[tuple[str, int, Change]]:
    """Return the kinds of changes that can be made, the numbers of their nodes, and the changes."""
    found = [
        (kind, number, change)
        for number, node in enumerate(ast.walk(statement))
        for kind, change in _of_node(node, names)
    ]
    value = getattr(statement, "value", None)
    plain = isinstance(statement, (ast.Assign, ast.Return))
    if plain and not isinstance(value, (ast.Tuple, ast.Dict, ast.Call)):
        number = [id(node) for node in ast.walk(statement)].index(id(value))
        found.append(("factor", number, _twice))
        found.append(("factor", number, _negative))
    return found


def _of_node(node: ast.AST, names: list[str]) -> Iterator[tuple[str, Change]]:
    if isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in OPERATORS:
        yield "operator", _with("op", OPERATORS[type(node.op)]())
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        yield "lost term", _part("left")
        yield "lost term", _part("right")
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        yield "factor", _part("left")
        if isinstance(node.op, ast.Mult):
            yield "factor", _part("right")
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in COMPARISONS:
        yield "operator", _with("ops", [COMPARISONS[type(node.ops[0])]()])
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "factor", _part("operand")
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield "transpose", _part("value")
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield "transpose", _transposed
        for name in names:
            if name != node.id:
                yield "variable", _with("id", name)
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        number = node.value
        assert isinstance(number, (int, float))
        yield "factor", _with("value", 2 * number if number else 1)


def _with(field: str, value: object) -> Change:
    def change(node: ast.AST) -> None:
        setattr(node, field, value)

    return change


def _part(field: str) -> Change:
    def part(node: ast.AST) -> ast.AST:
        found = getattr(node, field)
        assert isinstance(found, ast.AST)
        return found

    return part


def _transposed(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.expr)
    return ast.Attribute(copy.copy(node), "T", ast.Load())


def _twice(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.expr)
    return ast.BinOp(ast.Constant(2), ast.Mult(), node)


def _negative(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.expr)
    return ast.UnaryOp(ast.USub(), node)


def _changed(statement: ast.stmt, number: int, change: Change) -> str:
    """Return the source of a statement with one of its nodes changed."""
    new = copy.deepcopy(statement)
    nodes = list(ast.walk(new))
    target = nodes[number]
    parents = {id(child): node for node in nodes for child in ast.iter_child_nodes(node)}
    parent = parents.get(id(target))
    result = change(target)
    if result is not None and parent is not None:
        for field, value in ast.iter_fields(parent):
            if value is target:
                setattr(parent, field, result)
            elif isinstance(value, list) and any(item is target for item in value):
                setattr(parent, field, [result if item is target else item for item in value])
    return ast.unparse(ast.fix_missing_locations(new))
