"""The statements of the user's own files: what each evaluates, and where it assigns the result."""

from __future__ import annotations

import ast
import linecache
import os
import site
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType

__all__ = ["Effect", "Sources", "Statement"]

OURS = str(Path(__file__).parents[3])
"""The folder of the plugin itself."""

LONGEST = 50_000
"""Lines of the longest file that is read."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, eq=False)
class Effect:
    """One assignment, call or return of a statement.

    Attributes
    ----------
    target : ast.expr or None
        The target; None for a return, and for a call that is a statement.
    value : ast.expr or None
        The expression that is evaluated.
    augmented : bool
        Whether the target is read as well (``+=``).
    entry : object
        The position of this value among several that are returned or unpacked.
    unpacked : bool
        Whether the value is unpacked into several targets.
    """

    target: ast.expr | None
    value: ast.expr | None
    augmented: bool = False
    entry: object = None
    unpacked: bool = False

    @property
    def is_sum(self) -> bool:
        """Whether it adds to the old value of its target."""
        if self.augmented:
            return True
        if self.target is None or self.value is None:
            return False
        name = ast.unparse(self.target)
        return any(ast.unparse(term) == name for term in _terms(self.value))

    def adds(self, name: str) -> bool:
        """Return whether a name is one of several terms."""
        terms = [] if self.value is None else list(_terms(self.value))
        return len(terms) > 1 and any(ast.unparse(term) == name for term in terms)


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement, the head of a compound statement, or the several statements of one line.

    Attributes
    ----------
    file : str
    line, end : int
        Its first and last line.
    nodes : tuple of ast.stmt
    effects : tuple of Effect
    """

    file: str
    line: int
    end: int
    nodes: tuple[ast.stmt, ...]
    effects: tuple[Effect, ...]

    @property
    def is_return(self) -> bool:
        """Whether it returns."""
        return isinstance(self.nodes[-1], ast.Return)

    @property
    def is_loop(self) -> bool:
        """Whether it is the head of a loop or of a block."""
        return isinstance(self.nodes[0], (ast.For, ast.While, ast.With, ast.If))

    @cached_property
    def is_idle(self) -> bool:
        """Whether it assigns a name to itself."""
        return bool(self.effects) and all(
            isinstance(effect.target, ast.Name)
            and isinstance(effect.value, ast.Name)
            and effect.target.id == effect.value.id
            and not effect.augmented
            for effect in self.effects
        )

    @cached_property
    def text(self) -> str:
        """Its source, in one line."""
        lines = [linecache.getline(self.file, n).strip() for n in range(self.line, self.end + 1)]
        return " ".join(line for line in lines if line)

    @property
    def place(self) -> str:
        """``net.py:23``."""
        return f"{os.path.basename(self.file)}:{self.line}"


class Sources:
    """Finds the statement at a line of the user's own files.

    Parameters
    ----------
    functions : iterable
        The pair's functions, whose packages count as the user's, wherever they are.
    """

    def __init__(self, functions: Iterable[object] = ()) -> None:
        self._files: dict[str, dict[int, Statement] | None] = {}
        self._functions: dict[str, list[Function]] = {}
        self._own = tuple(folder for f in functions if (folder := _package_folder(f)))

    def of(self, code: CodeType) -> Mapping[int, Statement] | None:
        """Return the statements of a file by line, or None if the file is not the user's."""
        file = code.co_filename
        if file not in self._files:
            self._files[file] = self._parsed(file) if self._is_own(file) else None
        return self._files[file]

    def function_around(self, statement: Statement) -> Function | None:
        """Return the innermost function that holds a statement."""
        around = [
            function
            for function in self._functions.get(statement.file, ())
            if function.lineno <= statement.line <= (function.end_lineno or 0)
        ]
        return max(around, key=lambda function: function.lineno, default=None)

    def _is_own(self, file: str) -> bool:
        return file.startswith(self._own) or not file.startswith(FOREIGN)

    def _parsed(self, file: str) -> dict[int, Statement] | None:
        lines = linecache.getlines(file)
        if not lines or len(lines) > LONGEST:
            return None
        try:
            tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError, RecursionError):
            return None
        self._functions[file] = [node for node in ast.walk(tree) if isinstance(node, Function)]
        return {
            line: statement
            for statement in _statements(tree, file)
            for line in range(statement.line, statement.end + 1)
        }


def _foreign_folders() -> tuple[str, ...]:
    """Return the folders of Python, of installed packages, and of this plugin."""
    paths = [sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), OURS]
    return (*dict.fromkeys(os.path.join(path, "") for path in paths), "<frozen")


FOREIGN = _foreign_folders()
"""Folders without files of the user's own, unless the pair is defined there."""

TEACHING = os.path.join(OURS, "network")
"""The reference network, which counts as a user's code."""


def _package_folder(function: object) -> str | None:
    """Return the folder of the package that defines a function, where it is an installed one."""
    function = getattr(function, "__wrapped__", getattr(function, "func", function))
    code = getattr(function, "__code__", None)
    file = code.co_filename if isinstance(code, CodeType) else ""
    if file.startswith(TEACHING):
        return TEACHING
    for folder in sorted(FOREIGN, key=len, reverse=True):
        if file.startswith(folder) and not folder.startswith(OURS):
            return os.path.join(folder, file[len(folder) :].split(os.sep)[0])
    return None


def _statements(tree: ast.AST, file: str) -> Iterator[Statement]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
                yield from _of_block(block, file)


def _of_block(block: list[ast.stmt], file: str) -> Iterator[Statement]:
    by_line: dict[int, list[ast.stmt]] = {}
    for node in block:
        by_line.setdefault(node.lineno, []).append(node)
    for line, nodes in by_line.items():
        body = getattr(nodes[0], "body", None)
        if body:
            if body[0].lineno > line:
                head = tuple(_head(nodes[0]))
                yield Statement(file, line, body[0].lineno - 1, (nodes[0],), head)
            continue
        end = max(node.end_lineno or node.lineno for node in nodes)
        effects = tuple(effect for node in nodes for effect in _effects(node))
        yield Statement(file, line, end, tuple(nodes), effects)


def _head(node: ast.stmt) -> Iterator[Effect]:
    if isinstance(node, ast.For):
        yield from _assigned(node.target, node.iter)
    elif isinstance(node, ast.With):
        for item in node.items:
            if item.optional_vars is not None:
                yield Effect(item.optional_vars, item.context_expr)


def _effects(node: ast.stmt) -> Iterator[Effect]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _assigned(target, node.value)
    elif isinstance(node, ast.AugAssign):
        yield Effect(node.target, node.value, augmented=True)
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield Effect(node.target, node.value)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield from _returned(node.value)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield Effect(None, node.value)


def _assigned(
    target: ast.expr, value: ast.expr, unpacked: bool = False, entry: int | None = None
) -> Iterator[Effect]:
    if not isinstance(target, (ast.Tuple, ast.List)):
        yield Effect(target, value, entry=entry, unpacked=unpacked)
        return
    values = value.elts if isinstance(value, (ast.Tuple, ast.List)) else []
    starred = any(isinstance(part, ast.Starred) for part in (*values, *target.elts))
    apart = len(values) == len(target.elts) and not starred
    for i, part in enumerate(target.elts):
        part = part.value if isinstance(part, ast.Starred) else part
        place = None if apart or starred or unpacked else i
        yield from _assigned(part, values[i] if apart else value, not apart, place)


def _returned(value: ast.expr) -> Iterator[Effect]:
    if isinstance(value, (ast.Tuple, ast.List)):
        for i, part in enumerate(value.elts):
            yield Effect(None, part, entry=i)
    elif isinstance(value, ast.Dict):
        for key, part in zip(value.keys, value.values, strict=True):
            yield Effect(None, part, entry=getattr(key, "value", None))
    else:
        yield Effect(None, value)


def _terms(value: ast.expr) -> Iterator[ast.expr]:
    """Yield the terms of a sum."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Add, ast.Sub)):
        yield from _terms(value.left)
        yield from _terms(value.right)
    elif isinstance(value, ast.UnaryOp):
        yield from _terms(value.operand)
    else:
        yield value
