"""What a page draws of a point: maps of parameters, a scatter of two gradients, a curve of steps.

The arrays of a comparison are kept as they are, which costs nothing; they are condensed to plain
lists when somebody draws them. A cell of a map that stands for many components shows the worst.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.numdiff.evaluators import Evaluator
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.jacobian.entries import Table
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["Curve", "Picture", "entries_picture", "error_curve", "gradient_picture"]

ROWS, COLUMNS = 48, 96
"""Cells of a map at most."""

SLICES = 12
"""Slices of an array of more than two dimensions that a map shows at most, the worst of them."""

PANELS = 12
"""Parameters that are drawn at most, the worst of them."""

DENSE = 250_000
"""Entries of a matrix beyond which its blocks are drawn."""

DOTS = 200
"""Components in a scatter at most: the worst, and as many others spread evenly."""

STEPS = np.logspace(-1.0, -12.0, 23)
"""Steps of a curve, relative to the component's length."""

Codes = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Panel:
    """A parameter, or a Jacobian by one: arrays of its shape.

    Attributes
    ----------
    name : str
    analytic, numerical, errors : array
        The two gradients, and the relative error between them.
    codes : int8 array
        Index into `VERDICTS`; -1 where a component was not checked.
    """

    name: str
    analytic: FloatArray
    numerical: FloatArray
    errors: FloatArray
    codes: Codes


@dataclass(frozen=True)
class Curve:
    """How the difference between a gradient and its approximation depends on the step.

    Attributes
    ----------
    name : str
        Of the component.
    steps, errors : array
        ``|D(h) - g|`` at each step h, absolute.
    chosen, error_bar : float
        ``|D - g|`` of the approximation that the verdict rests on, and its error bar.
    """

    name: str
    steps: FloatArray
    errors: FloatArray
    chosen: float
    error_bar: float


@dataclass(frozen=True)
class Picture:
    """What can be drawn of a point."""

    panels: tuple[Panel, ...]
    curve: Curve | None = None

    def drawn(self) -> dict[str, Any]:
        """Return it as plain lists, condensed; NaN and infinities become None."""
        worst = sorted(self.panels, key=lambda panel: -int(panel.codes.max(initial=-1)))
        shown = {id(panel) for panel in worst[:PANELS]}
        return {
            "maps": [_map(panel) for panel in self.panels if id(panel) in shown],
            "left_out": len(self.panels) - len(shown),
            "scatter": _scatter(self.panels),
            "curve": None if self.curve is None else _drawn_curve(self.curve),
        }


def gradient_picture(comparison: Comparison, curve: Curve | None) -> Picture:
    """Return the data of pictures of a gradient and its approximation."""
    approximation, judgement = comparison.approximation, comparison.judgement
    codes = np.where(approximation.checked, judgement.verdicts, -1).astype(np.int8)
    return Picture(
        tuple(
            Panel(
                parameter.name,
                comparison.gradient[parameter.slice].reshape(parameter.shape),
                approximation.values[parameter.slice].reshape(parameter.shape),
                judgement.errors[parameter.slice].reshape(parameter.shape),
                codes[parameter.slice].reshape(parameter.shape),
            )
            for parameter in comparison.theta.selected
        ),
        curve,
    )


def entries_picture(table: Table, theta: Theta, outputs: int) -> Picture:
    """Return what can be drawn of a matrix: a row an output, a column a component of theta."""
    return Picture(tuple(_matrix_panel(table, one, outputs) for one in theta.selected))


def _matrix_panel(table: Table, parameter: Parameter, outputs: int) -> Panel:
    """Return a parameter's columns of a matrix; of a large one, blocks by their worst entry."""
    mine = np.flatnonzero((table.numbers >= parameter.start) & (table.numbers < parameter.stop))
    shape = (outputs, parameter.size)
    rows, columns = table.outputs[mine], table.numbers[mine] - parameter.start
    if outputs * parameter.size > DENSE:
        shape = (min(outputs, ROWS), min(parameter.size, COLUMNS))
        rows, columns = rows * shape[0] // outputs, columns * shape[1] // parameter.size
    order = np.lexsort((table.errors[mine], table.codes[mine]))  # the worst is written last
    places = rows[order] * shape[1] + columns[order]

    def laid_out(column: npt.NDArray[Any], empty: float) -> npt.NDArray[Any]:
        grid = np.full(shape[0] * shape[1], empty, column.dtype)
        grid[places] = column[mine[order]]
        return grid.reshape(shape)

    return Panel(
        parameter.name,
        laid_out(table.analytic, np.nan),
        laid_out(table.values, np.nan),
        laid_out(table.errors, np.nan),
        laid_out(table.codes, -1),
    )


def error_curve(evaluator: Evaluator, comparison: Comparison) -> Curve | None:
    """Return the curve of the worst component, from two calls of the cost a step; None if all pass.

    A fault is a plateau: no step brings the two together. Truncation falls with the square of the
    step, and rounding rises with its reciprocal.
    """
    judgement, theta = comparison.judgement, comparison.theta
    if judgement.verdicts.max(initial=Verdict.OK) == Verdict.OK:
        return None
    number = int(np.lexsort((-judgement.errors, -judgement.verdicts))[0])
    parameter = theta.owner(number)
    steps = STEPS * float(lengths(theta)[number])
    slopes = evaluator.differences(np.full(steps.size, number), steps).slopes
    analytic = float(comparison.gradient[number])
    approximation = comparison.approximation
    return Curve(
        parameter.component_name(parameter.index(number)),
        steps,
        np.abs(slopes - analytic),
        abs(float(approximation.values[number]) - analytic),
        float(approximation.error_bars[number]),
    )


def _map(panel: Panel) -> dict[str, Any]:
    """Return a map of a parameter: rows of cells, each the worst of its components."""
    places, said = _laid_out(panel)
    badness = np.clip(np.nan_to_num(panel.errors, nan=np.inf), 0.0, 1e300)
    ranks = (2.0 * panel.codes + badness / (1 + badness)).reshape(-1)  # the verdict, then the error
    cells = _condensed(places, ranks)
    if cells.shape != places.shape:
        said.append(f"each cell is the worst of about {places.size // cells.size:,} components")
    rows, columns = _whole_lines(panel)
    return {
        "name": panel.name,
        "shape": list(panel.codes.shape),
        "notes": said,
        "rows": rows,
        "columns": columns,
        **{
            name: _listed(np.where(cells < 0, np.nan, whole.reshape(-1)[cells]))
            for name, whole in (
                ("analytic", panel.analytic),
                ("numerical", panel.numerical),
                ("errors", panel.errors),
            )
        },
        "verdicts": np.where(cells < 0, -1, panel.codes.reshape(-1)[cells]).tolist(),
    }


def _laid_out(panel: Panel) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Return the places of components in the flat array as a picture has them, and what to say.

    A vector is a strip; slices of more dimensions stand side by side, with a column between them.
    """
    shape = panel.codes.shape
    places = np.arange(panel.codes.size).reshape(shape if shape else (1,))
    if places.ndim <= 2:
        return np.atleast_2d(places), []
    slices = places.reshape(-1, *shape[-2:])
    said = [f"{len(slices)} slices of {shape[-2]} x {shape[-1]}, side by side"]
    if len(slices) > SLICES:
        worst = panel.codes.reshape(len(slices), -1).max(axis=1)
        slices = slices[np.sort(np.argsort(-worst, kind="stable")[:SLICES])]
        said = [f"{SLICES} of {said[0]}, those with the worst components"]
    between = np.full((shape[-2], 1), -1)
    parts = [part for piece in slices for part in (piece, between)][:-1]
    return np.concatenate(parts, axis=1), said


def _condensed(places: npt.NDArray[np.intp], ranks: FloatArray) -> npt.NDArray[np.intp]:
    """Return one place for each cell of a map: the worst of each block."""
    by_row = _blocks(places.shape[0], ROWS)
    by_column = _blocks(places.shape[1], COLUMNS)
    if len(by_row) == places.shape[0] and len(by_column) == places.shape[1]:
        return places
    cells = np.empty((len(by_row), len(by_column)), np.intp)
    for i, rows in enumerate(by_row):
        for j, columns in enumerate(by_column):
            block = places[rows, columns].reshape(-1)
            cells[i, j] = block[int(np.argmax(np.where(block < 0, -np.inf, ranks[block])))]
    return cells


def _blocks(size: int, most: int) -> list[slice]:
    """Return slices of about one length that a side is cut into, no more than `most`."""
    count = min(size, most)
    edges = [size * k // count for k in range(count + 1)] if count else [0]
    return [slice(*pair) for pair in itertools.pairwise(edges)]


def _whole_lines(panel: Panel) -> tuple[list[int], list[int]]:
    """Return the rows and columns of a matrix that are wrong as a whole, unless all of it is."""
    if panel.codes.ndim != 2 or panel.codes.size == 0:
        return [], []
    wrong = panel.codes >= Verdict.SUSPECT
    if wrong.all():
        return [], []
    rows, columns = (np.flatnonzero(wrong.all(axis=axis))[:ROWS].tolist() for axis in (1, 0))
    return rows, columns


def _scatter(panels: Sequence[Panel]) -> dict[str, Any]:
    """Return the two values of components: the worst, and as many others spread evenly."""
    analytic, numerical, errors, codes = (
        np.concatenate([getattr(panel, name).reshape(-1) for panel in panels] or [np.empty(0)])
        for name in ("analytic", "numerical", "errors", "codes")
    )
    known = np.flatnonzero((codes >= 0) & np.isfinite(analytic) & np.isfinite(numerical))
    if known.size > DOTS:
        order = known[np.lexsort((-errors[known], -codes[known]))]
        others = order[DOTS // 2 :]
        known = np.concatenate([order[: DOTS // 2], others[:: math.ceil(2 * others.size / DOTS)]])
    return {
        "analytic": analytic[known].tolist(),
        "numerical": numerical[known].tolist(),
        "wrong": (codes[known] >= Verdict.SUSPECT).tolist(),
    }


def _drawn_curve(curve: Curve) -> dict[str, Any]:
    known = np.isfinite(curve.errors)
    return {
        "name": curve.name,
        "steps": curve.steps[known].tolist(),
        "errors": curve.errors[known].tolist(),
        "chosen": _number(curve.chosen),
        "error_bar": _number(curve.error_bar),
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _listed(cells: FloatArray) -> list[list[float | None]]:
    return [[_number(value) for value in row] for row in cells.tolist()]
