"""Faults planted in our own code: a random sample, reproducible, of cosmic-ray's mutations."""

from __future__ import annotations

import ast
import random
import warnings
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

__all__ = ["ROOMS", "Mutant", "changed", "sample"]

ROOMS = (
    "params",
    "problem",
    "numdiff",
    "verdict",
    "diagnosis",
    "report",
    "plugin",
    "settings",
    "jacobians",
)

Place = tuple[int, int, int, int]
"""Where something stands: first line and column, last line and column."""

ALIKE = [
    {"Add", "Sub", "Mul", "Div", "FloorDiv", "Mod", "Pow"},
    {"BitOr", "BitAnd", "BitXor"},
    {"LShift", "RShift"},
    {"Eq", "NotEq", "Lt", "LtE", "Gt", "GtE"},
    {"Is", "IsNot"},
]
"""Operators that stand for each other. Others end at the first number: nobody has to test that."""


PLAIN = {"name", "newline", "number", "string"}
"""Nodes in which no operator stands."""


@dataclass(frozen=True)
class Mutant:
    """One change of one place of one module."""

    room: str
    module: str
    operator: str
    occurrence: int
    line: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.module}:{self.line} {self.operator}#{self.occurrence}"


def sample(package: Path, each: int, seed: int) -> list[Mutant]:
    """Draw so many places of every room, and one mutation of each."""
    drawn = []
    for room in ROOMS:
        rng = random.Random(f"{room} {seed}")
        places = [
            (path, place, which)
            for path in sorted(_modules(package, room))
            for place, which in sorted(_mutations(path.read_text(encoding="utf-8")).items())
        ]
        rng.shuffle(places)
        found: list[Mutant] = []
        for path, place, which in places:
            operator, occurrence = rng.choice(which)
            mutant = _mutant(package, room, path, place, operator, occurrence)
            if mutant is not None and len(found) < each:
                found.append(mutant)
            if len(found) == each:
                break
        drawn += found
    return drawn


def changed(source: str, mutant: Mutant) -> str:
    """Return a module's text with the change."""
    text: str | None = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    if text is None:
        raise ValueError(f"no such place: {mutant.name}")
    return text


def _modules(package: Path, room: str) -> Iterator[Path]:
    single = package / f"{room}.py"
    yield from [single] if single.exists() else (package / room).rglob("*.py")


def _mutations(source: str) -> dict[Place, list[tuple[str, int]]]:
    """Return what can be changed at every place, by operators of cosmic-ray that need no names."""
    tree = get_ast(source)
    silent = _silent(ast.parse(source))
    found: dict[Place, list[tuple[str, int]]] = defaultdict(list)
    nodes = list(ast_nodes(tree))
    others = [node for node in nodes if node.type not in PLAIN]
    for name in operator_names():
        operator = get_operator(name)
        if operator.arguments() or not _wanted(name):
            continue
        of_operators = name.partition("/")[2].startswith(("ReplaceBinary", "ReplaceComparison"))
        finds = operator().mutation_positions
        positions = (place for node in (others if of_operators else nodes) for place in finds(node))
        for occurrence, ((line, column), (last, end)) in enumerate(positions):
            place = (line, column, last, end)
            if not any(first <= place[:2] <= final for first, final in silent):
                found[place].append((name, occurrence))
    return found


def _wanted(name: str) -> bool:
    words = name.partition("/")[2].split("_")
    if words[0] in ("ReplaceBinaryOperator", "ReplaceComparisonOperator"):
        return any({words[1], words[2]} <= group for group in ALIKE)
    return words[0] != "NoOp"


def _silent(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the spans of what is never run: annotations, and imports for types only."""
    nodes: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            nodes.append(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            nodes.append(node.returns)
        elif isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            nodes.append(node)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))  # type: ignore[attr-defined]
        for node in nodes
    ]


def _mutant(
    package: Path, room: str, path: Path, place: Place, operator: str, occurrence: int
) -> Mutant | None:
    """Return a mutant, unless it is the same program, or none at all."""
    source = path.read_text(encoding="utf-8")
    module = str(path.relative_to(package))
    mutant = Mutant(room, module, operator, occurrence, place[0], "", "")
    try:
        text = changed(source, mutant)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            if ast.dump(ast.parse(text)) == ast.dump(ast.parse(source)):
                return None
            compile(text, str(path), "exec")
    except (SyntaxError, SyntaxWarning, AttributeError):  # the last: a.b where a name is changed
        return None
    old, new = source.splitlines(), text.splitlines()
    before = old[place[0] - 1].strip()
    after = "(removed)" if len(new) < len(old) else new[place[0] - 1].strip()
    return Mutant(room, module, operator, occurrence, place[0], before, after)
