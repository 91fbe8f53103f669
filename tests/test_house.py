"""The house: how many files a room has, and how long what stands in them may be."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "pytest_gradcheck"
PLUGIN = [path for path in PACKAGE.rglob("*.py") if "network" not in path.parts]

FILES = 9
MODULES = 8
CODE = 400
FUNCTION = 50
PARAMETERS = 6

SETTINGS = {"Problem.layer", "GradCheck"}
"""Calls of users, whose keywords are settings."""


def code_lines(tree: ast.AST, source: str) -> int:
    """Return the lines of code, docstrings, comments and blank lines aside."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring, or the one below a constant
        if isinstance(node, ast.stmt):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    text = source.splitlines()
    return sum(bool(text[n - 1].strip()) and not text[n - 1].strip().startswith("#") for n in lines)


def functions() -> Iterator[tuple[str, ast.FunctionDef, str]]:
    """Yield every function of the plugin, with where it stands and the source of its module."""
    for path in PLUGIN:
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(PACKAGE)}:{node.name}", node, source


def test_a_room_has_at_most_nine_files_and_the_top_eight_modules() -> None:
    rooms = {path.parent for path in PLUGIN} - {PACKAGE}
    crowded = {
        str(room.relative_to(PACKAGE)): len(list(room.glob("*.py")))
        for room in rooms
        if len(list(room.glob("*.py"))) > FILES
    }
    assert crowded == {}
    assert len(list(PACKAGE.glob("*.py"))) <= MODULES


def test_no_module_is_long() -> None:
    long = {}
    for path in PLUGIN:
        source = path.read_text(encoding="utf-8")
        count = code_lines(ast.parse(source), source)
        if count > CODE:
            long[str(path.relative_to(PACKAGE))] = count
    assert long == {}


def test_no_function_is_long() -> None:
    assert {
        name: count
        for name, node, source in functions()
        if (count := code_lines(ast.Module(node.body, []), source)) > FUNCTION
    } == {}


def test_no_function_takes_more_than_six_parameters() -> None:
    many = {}
    for name, node, _ in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = sum(one.arg not in ("self", "cls") for one in given)
        if count > PARAMETERS:
            many[name] = count
    assert many == {}
