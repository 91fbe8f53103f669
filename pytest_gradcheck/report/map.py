"""A small map of a matrix: which of its entries are wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_gradcheck.context import Style
from pytest_gradcheck.report.report import ParameterReport, PointReport

__all__ = ["best_map", "error_map"]

ROWS = 10
COLUMNS = 60

BLOCKS = "·▒▓█"
ASCII_BLOCKS = ".-+#"
"""A character's entries are wrong: none, some, half and more, all."""

WRONG = ("suspect", "bug", "nonfinite")

WHERE = ("partial", "mask", "accumulated", "upstream")
"""Causes that tell the place of errors."""


def best_map(point: PointReport, style: Style) -> list[str]:
    """Return the map of the parameter with the clearest pattern, or none.

    A pattern needs wrong and right entries, and is clearest if a cause tells their places.
    """
    if point.matrix is not None:
        return _matrix_map(point, point.matrix, style)
    named = [f.parameter for f in point.findings if f.code in WHERE]
    mixed = [p for p in point.parameters if 0 < _wrong(p) < p.checked]
    for parameter in sorted(mixed, key=lambda p: (p.name not in named, -_wrong(p))):
        lines = error_map(point, parameter.name, style)
        if lines:
            return lines
    return []


def _wrong(parameter: ParameterReport) -> int:
    return sum(parameter.counts.get(verdict, 0) for verdict in WRONG)


def error_map(point: PointReport, name: str, style: Style) -> list[str]:
    """Return the lines of a map, at most 12, or none if there is nothing to draw.

    Parameters
    ----------
    point : PointReport
    name : str
        Of the parameter. It has no map unless it is a matrix with all entries known.
    style : Style
    """
    parameter = next((p for p in point.parameters if p.name == name), None)
    if parameter is None or len(parameter.shape) != 2 or min(parameter.shape) < 2:
        return []
    wrong = [c for c in point.components if c.parameter == name and c.verdict in WRONG]
    if parameter.checked != parameter.size or len(wrong) != _wrong(parameter):
        return []
    rows, columns = parameter.shape
    return _drawn(name, (rows, columns), [(c.index[0], c.index[1]) for c in wrong], style)


def _matrix_map(point: PointReport, shape: tuple[int, int], style: Style) -> list[str]:
    """Return the map of a Jacobian, if some of its entries are wrong and all of those are known."""
    wrong = [c.entry for c in point.components if c.entry is not None and c.verdict in WRONG]
    count, checked = sum(map(_wrong, point.parameters)), sum(p.checked for p in point.parameters)
    if min(shape) < 2 or not 0 < len(wrong) == count < checked == shape[0] * shape[1]:
        return []
    return _drawn("the matrix", shape, wrong, style)


def _drawn(
    name: str, shape: tuple[int, int], wrong: Sequence[tuple[int, int]], style: Style
) -> list[str]:
    rows, columns = shape
    tall = math.ceil(rows / ROWS)
    wide = math.ceil(columns / min(COLUMNS, style.width - 2))
    counts = [[0] * math.ceil(columns / wide) for _ in range(math.ceil(rows / tall))]
    for row, column in wrong:
        counts[row // tall][column // wide] += 1
    blocks = ASCII_BLOCKS if style.ascii else BLOCKS
    each = "entry" if tall == wide == 1 else f"{tall} x {wide} entries"
    title = f"{name}, a character for each {each} ({blocks[-1]} wrong, {blocks[0]} not):"
    lines = [title]
    for i, line in enumerate(counts):
        height = min(tall, rows - i * tall)
        shares = [n / (height * min(wide, columns - j * wide)) for j, n in enumerate(line)]
        lines.append("  " + "".join(blocks[_shade(share)] for share in shares))
    return lines


def _shade(share: float) -> int:
    return 0 if share == 0 else 3 if share == 1 else 2 if share >= 0.5 else 1
