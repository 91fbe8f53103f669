"""Pictures of a check as inline SVG, drawn by matplotlib from plain lists.

Text has the page's colour, so that pictures fit the dark and the light theme. The colour maps are
cividis, for errors, and a diverging blue and orange, for values: people who cannot tell red from
green can read both.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from pytest_gradcheck.errors import printable

__all__ = ["curve_picture", "errors_picture", "map_picture", "scatter_picture"]

INK = "#010203"
"""Placeholder for the page's text colour, until the picture is written."""

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "image.composite_image": False,
    "text.parse_math": False,  # names of users are no TeX
}

LOW, HIGH = 1e-10, 1.0
"""The range of relative errors in a map."""

RIGHT, WRONG, GUIDE = "#3b6fb6", "#d1780f", "#808080"

WIDTH = 7.4
"""Inches; the page scales it."""


def _styled(salt: str) -> AbstractContextManager[None]:
    """Return a context manager of the style; `salt` makes ids unique."""
    style: Any = {**STYLE, "svg.hashsalt": salt}
    return mpl.rc_context(style)


def map_picture(drawn: Mapping[str, Any], salt: str) -> tuple[str, str]:
    """Return maps of a parameter, relative error and both values, and a description."""
    rows, columns = len(drawn["errors"]), len(drawn["errors"][0]) if drawn["errors"] else 0
    shape = " x ".join(map(str, drawn["shape"])) or "scalar"
    said = f"{drawn['name']}, {shape}: {_description(drawn)}"
    with _styled(salt):
        height = max(0.95, min(2.4, 0.6 + WIDTH / 4 * rows / max(1, columns)))
        figure = Figure(figsize=(WIDTH, height))
        bottom, top = 0.28 / height, 1 - 0.24 / height
        values = _scale([*drawn["analytic"], *drawn["numerical"]])
        for name, left, bar, scale, colours in (
            ("errors", 0.04, 0.27, LogNorm(LOW, HIGH), "cividis"),
            ("analytic", 0.385, None, values, "PuOr"),
            ("numerical", 0.655, 0.885, values, "PuOr"),
        ):
            axis = figure.add_axes((left, bottom, 0.22, top - bottom))
            image = _image(axis, drawn[name], scale, colours)
            axis.set_title("relative error" if name == "errors" else name)
            if bar is not None:
                side = figure.add_axes((bar, bottom, 0.015, top - bottom))
                _key(figure.colorbar(image, cax=side), scale)
            if name == "errors":
                _mark_lines(axis, drawn, rows, columns)
        return _svg(figure, f"Maps of {said}"), said


def errors_picture(maps: Sequence[Mapping[str, Any]], salt: str) -> tuple[str, str]:
    """Return the relative errors of parameters side by side, and a description."""
    said = f"relative errors, no cell is wrong: {', '.join(one['name'] for one in maps)}"
    with _styled(salt):
        figure = Figure(figsize=(WIDTH, 0.95))
        width = 0.86 / len(maps)
        for k, one in enumerate(maps):
            axis = figure.add_axes((0.02 + k * width, 0.08, 0.86 * width, 0.66))
            image = _image(axis, one["errors"], LogNorm(LOW, HIGH), "cividis")
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title(_short(one["name"], max(3, round(80 / len(maps)))))
        side = figure.add_axes((0.9, 0.08, 0.015, 0.66))
        _key(figure.colorbar(image, cax=side), LogNorm(LOW, HIGH))
        return _svg(figure, f"Maps of {said}"), said


def _short(name: str, room: int) -> str:
    """Return a name as a title: cut, and without characters outside of fonts."""
    name = printable(name)
    return name if len(name) <= room else name[: room - 1] + "\u2026"


def _image(
    axis: Axes, cells: Sequence[Sequence[float | None]], scale: Normalize, colours: str
) -> AxesImage:
    """Draw a map; cells without a number stay empty."""
    values = [[math.nan if cell is None else cell for cell in row] for row in cells]
    if isinstance(scale, LogNorm):
        values = [[max(LOW, cell) if cell == cell else cell for cell in row] for row in values]
    image = axis.imshow(values, norm=scale, cmap=colours, interpolation="none", aspect="auto")
    axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axis.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    if len(values) == 1:
        axis.set_yticks([])
    if len(values[0]) == 1:
        axis.set_xticks([])
    return image


def _key(bar: Colorbar, scale: Normalize) -> None:
    """Set three ticks of a colour bar: its ends and its middle."""
    bar.minorticks_off()
    if isinstance(scale, LogNorm):
        bar.set_ticks([1e-10, 1e-5, 1.0], labels=["1e-10", "1e-5", "1"])
    else:
        ends = [float(scale.vmin or 0.0), 0.0, float(scale.vmax or 0.0)]
        bar.set_ticks(ends, labels=[f"{end:.2g}" for end in ends])


def _scale(rows: Sequence[Sequence[float | None]]) -> Normalize:
    """Return a scale around zero, logarithmic far from it, that both values share."""
    sizes = sorted(abs(cell) for row in rows for cell in row if cell)
    if not sizes:
        return Normalize(-1.0, 1.0)
    largest, usual = sizes[-1], sizes[len(sizes) // 2]
    if largest <= 30 * usual:
        return Normalize(-largest, largest)
    return SymLogNorm(linthresh=usual, vmin=-largest, vmax=largest)


def _mark_lines(axis: Axes, drawn: Mapping[str, Any], rows: int, columns: int) -> None:
    """Mark rows and columns that are wrong as a whole at the edges, where cells are components."""
    shape = drawn["shape"]
    if len(shape) != 2 or (rows, columns) != tuple(shape):
        return
    style: dict[str, Any] = {"color": WRONG, "markersize": 4, "linestyle": "", "clip_on": False}
    lines = drawn["rows"]
    axis.plot([-0.5 - 0.012 * columns] * len(lines), lines, marker=">", **style)
    lines = drawn["columns"]
    axis.plot(lines, [rows - 0.5 + 0.02 * rows] * len(lines), marker="^", **style)


def _description(drawn: Mapping[str, Any]) -> str:
    """Return a description of a map, for readers who cannot see it."""
    codes = [code for row in drawn["verdicts"] for code in row if code >= 0]
    wrong = sum(code >= 3 for code in codes)
    said = [f"{wrong} of {len(codes)} cells are wrong" if wrong else "no cell is wrong"]
    for name, word in (("rows", "row"), ("columns", "column")):
        lines = drawn[name]
        if lines:
            said.append(f"{word}{'s' * (len(lines) > 1)} {_listed(lines)} as a whole")
    return "; ".join([*said, *drawn["notes"]])


def _listed(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:5]))
    return f"{shown}, ..." if len(lines) > 5 else shown


def scatter_picture(drawn: Mapping[str, Any], factor: float | None, salt: str) -> tuple[str, str]:
    """Return the numerical gradient over the analytic one, with the diagonal, and a description."""
    pairs = list(zip(drawn["analytic"], drawn["numerical"], drawn["wrong"], strict=True))
    span = max((abs(value) for pair in pairs for value in pair[:2]), default=1.0) or 1.0
    with _styled(salt):
        figure = Figure(figsize=(WIDTH / 2, 2.6))
        axis = figure.add_axes((0.16, 0.17, 0.81, 0.8))
        axis.plot([-span, span], [-span, span], color=GUIDE, linewidth=0.8, label="equal")
        if factor:
            end = span * min(1.0, abs(factor))
            axis.plot(
                [-end, end],
                [-end / factor, end / factor],
                color=WRONG,
                linewidth=0.8,
                linestyle="--",
                label=f"analytic = {factor:.4g} x numerical",
            )
        for wrong, colour, marker in ((False, RIGHT, "o"), (True, WRONG, "x")):
            mine = [pair for pair in pairs if pair[2] is wrong]
            axis.plot(
                [pair[0] for pair in mine],
                [pair[1] for pair in mine],
                marker,
                color=colour,
                markersize=3.5,
                label="wrong" if wrong else "not wrong",
            )
        axis.set_xlabel("analytic")
        axis.set_ylabel("numerical")
        axis.legend(frameon=False, fontsize=7)
        count = sum(pair[2] for pair in pairs)
        said = f"numerical over analytic gradient, {len(pairs)} components, {count} of them wrong"
        return _svg(figure, f"Scatter: {said}"), said


def curve_picture(drawn: Mapping[str, Any], salt: str) -> tuple[str, str]:
    """Return the curve of error over step, with the step of the verdict, and a description."""
    floor = min((error for error in drawn["errors"] if error > 0), default=1e-16)
    with _styled(salt):
        figure = Figure(figsize=(WIDTH / 2, 2.6))
        axis = figure.add_axes((0.19, 0.17, 0.78, 0.8))
        errors = [max(error, floor) for error in drawn["errors"]]
        axis.loglog(drawn["steps"], errors, "o-", color=RIGHT, markersize=3, label="|D(h) - g|")
        for name, colour, label in (
            ("chosen", WRONG, "the verdict's"),
            ("error_bar", GUIDE, "its error bar"),
        ):
            if drawn[name]:
                axis.axhline(drawn[name], color=colour, linestyle="--", label=label)
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_formatter(FuncFormatter(_decade))
            side.set_minor_formatter(NullFormatter())
        axis.set_xlabel("step h")
        axis.set_ylabel("difference")
        axis.legend(frameon=False, fontsize=7)
        said = f"{drawn['name']}: difference between the gradients against the step"
        return _svg(figure, f"Curve of {said}"), said


def _decade(value: float, _: int | None = None) -> str:
    """Return a power of ten as the maps have it: 1e-5."""
    return f"1e{round(math.log10(value))}" if value != 1 else "1"


def _shortened(tag: re.Match[str]) -> str:
    """Return a tag with coordinates of two decimals; text between tags is unchanged."""
    return re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0])


def _svg(figure: Figure, label: str) -> str:
    """Return a figure as an SVG element that is unique in a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<(g|svg|text) id="[^"]*"', r"<\1", text)  # unused, not unique
    text = re.sub(r" font-family: [^;\"]*;", "", text)  # the page's own
    text = re.sub(r"<[^>]*>", _shortened, text)
    text = re.sub(r"\s+", " ", text).replace("> <", "><")
    text = text.replace(INK, "currentColor")
    opening, rest = text.split(">", 1)
    viewed = re.search(r'viewBox="[^"]*"', opening)
    box = viewed.group() if viewed else ""
    return f'<svg {box} role="img" aria-label="{escape(label)}">{rest}'
