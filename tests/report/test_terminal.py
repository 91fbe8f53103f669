"""The text of a report by itself: widths, names, ASCII, and what is left out."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import Finding, Report, check_gradients
from pytest_gradcheck.context import Style
from pytest_gradcheck.report.answer import figure_words
from pytest_gradcheck.report.record import TestRecord
from pytest_gradcheck.report.terminal import (
    _output_table,
    failure_text,
    fitted,
    headline,
    plain_ascii,
)


def square(params: Any) -> float:
    return float(sum(np.vdot(value, value) for value in params.values()))


def wrong(names: list[str], factor: float = 3.0, size: int = 3) -> Report:
    """Return the report of a wrong gradient of parameters with these names."""
    params = {name: np.arange(1.0, size + 1) for name in names}
    return check_gradients(
        square, lambda p: {name: factor * value for name, value in p.items()}, params
    )


LAYERS = [f"encoder.layers[{i}].self_attention.projection.weight" for i in range(25)]
UNICODE = ["θ_größe", "重み", "b"]


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("width", [20, 32, 40, 56, 72, 92])
@pytest.mark.parametrize("names", [["W"], LAYERS, UNICODE], ids=["short", "long", "unicode"])
def test_no_line_is_wider_than_its_style(names: list[str], width: int, ascii: bool) -> None:
    text = failure_text(wrong(names), Style(width, ascii))
    lines = text.splitlines()
    assert [line for line in lines if len(line) > width] == []
    assert len(lines) <= 60
    assert text.isascii() or not ascii
    assert lines[0]
    assert len(lines[0]) <= width - len("GradientError: ")


@pytest.mark.parametrize(("width", "mark"), [(40, "  <-"), (56, "  <-"), (120, "  <- enters here")])
def test_a_line_of_code_that_is_cut_keeps_its_mark(width: int, mark: str) -> None:
    def grad(p: Any) -> Any:
        inner = np.cos(p["weights"])
        twice_too_much = 2.0 * inner * np.ones_like(p["weights"]) + np.zeros_like(p["weights"])
        return {"weights": twice_too_much}

    report = check_gradients(
        lambda p: float(np.sum(np.sin(p["weights"]))),
        grad,
        {"weights": np.arange(1.0, 5)},
        locate=True,
    )
    (line,) = (x for x in failure_text(report, Style(width)).splitlines() if "WRONG  tw" in x)
    assert line.endswith(mark)
    assert len(line) <= width


LONG_NAME = "a_long_name_of_a_file_of_somebody.py"


@pytest.mark.parametrize(
    ("fault", "first", "second"),
    [
        (lambda g: g.T, "W: transposed", "W is the numerical gradient transposed"),
        (lambda g: -g, "W: sign", "W is -1.000 x the numerical gradient: the sign"),
        (lambda g: g + g**3, "bug at W[", "1."),
    ],
)
def test_a_place_that_does_not_fit_stands_behind_the_code_of_the_cause(
    fault: Any, first: str, second: str
) -> None:
    """Half of "W is the numerical gradient transposed" says that it is right."""
    W = np.random.default_rng(3).normal(size=(4, 4))
    report = check_gradients(
        lambda p: float(np.sum(np.sin(p["W"]))), lambda p: {"W": fault(np.cos(p["W"]))}, {"W": W}
    )
    line = Finding.cause("line", f"{LONG_NAME}:7: dW is wrong", parameter="W")
    where = dataclasses.replace(line, where=(LONG_NAME, 7))
    point = dataclasses.replace(report.points[0], findings=(*report.points[0].findings, where))
    lines = failure_text(dataclasses.replace(report, points=(point,)), Style(72)).splitlines()
    assert lines[0].endswith(f" ({LONG_NAME}:7):")
    assert lines[0].startswith(first)
    assert lines[1].strip().startswith(second)


def test_a_narrow_table_gives_up_columns_before_the_names_and_verdicts() -> None:
    lines = failure_text(wrong(["W"]), Style(40)).splitlines()
    assert "parameter  not ok  rel. error  verdict" in lines
    assert "worst         analytic  numerical  ratio" in lines


def test_shortened_names_keep_what_tells_them_apart() -> None:
    lines = failure_text(wrong(LAYERS), Style(72)).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("parameter"))
    names = [line.split()[0] for line in lines[start + 1 : start + 21]]
    assert len(set(names)) == 20
    assert all("…" in name for name in names)
    assert "… and 5 more parameters, none worse" in lines


def test_a_name_is_shortened_in_its_middle_in_the_first_line() -> None:
    first = headline(wrong([LAYERS[0]]), 57)
    assert first.startswith("encode…eight is 1.500 x the numerical gradient")
    assert len(first) <= 57


@pytest.mark.parametrize("width", [20, 30, 45, 57, 80, 150])
def test_a_headline_ends_at_a_word(width: int) -> None:
    whole = headline(wrong(["W"], factor=2 + 2 / 365), 1000)
    said = headline(wrong(["W"], factor=2 + 2 / 365), width)
    assert len(said) <= width
    assert said == whole or f"{whole} ".startswith(said.removesuffix(" …"))


def test_the_first_line_of_what_is_right_says_how_much_was_checked() -> None:
    assert headline(wrong(["W"], factor=2.0), 72) == "ok: 3 components agree with their differences"
    one = check_gradients(lambda x: x**2, lambda x: 2 * x, 1.5)
    assert headline(one, 72) == "ok: 1 component agrees with its difference"
    rounded = check_gradients(
        lambda x: float(x[0] ** 2 + round(x[1] ** 2, 2)), lambda x: 2 * x, np.array([1.5, 1e-3])
    )
    said = "inconclusive: 1 of 2 components cannot be decided, and the others agree"
    assert headline(rounded, 80) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.nan, "nonfinite at x: the gradient is nan"),
        (np.inf, "nonfinite at x: the gradient is inf"),
        (0.0, "x is 0 throughout, and the numerical gradient is not: never filled in, or"),
        (-6.0, "x is -1.000 x the numerical gradient: the sign is turned round: Y - A for"),
        (6.0006, "suspect at x: 1.0001 x the numerical gradient"),
        (6e9, "bug at x: 6e+09, numerically 6"),
        (2.3, "bug at x: 0.383 x the numerical gradient"),
    ],
)
def test_the_first_line_says_how_the_gradient_compares(value: float, said: str) -> None:
    report = check_gradients(lambda p: p["x"] ** 2, lambda p: {"x": value}, {"x": 3.0})
    assert headline(report, 76).removesuffix(" …") == said


def test_a_component_whose_cost_is_flat_shows_both_values() -> None:
    report = check_gradients(
        lambda p: p["x"] ** 2 + 0 * p["y"],
        lambda p: {"x": 2 * p["x"], "y": 1.0},
        {"x": 3.0, "y": 1.0},
    )
    assert headline(report, 72).startswith("y is not 0, but the cost does not depend on it here")
    assert "y             1          0" in str(report)


def test_text_beyond_ascii_is_escaped_and_the_glyphs_are_replaced() -> None:
    assert plain_ascii("… 2×3 ─ θ") == "~ 2x3 - \\u03b8"
    assert fitted("θθθθ", Style(10, ascii=True)) == "\\u03b8\\u0~"
    assert fitted("θθθθ", Style(3)) == "θθ…"


@pytest.mark.parametrize("width", range(40, 80, 3))
def test_no_line_breaks_within_a_name(width: int) -> None:
    grid = {"W": np.arange(1.0, 13).reshape(3, 4)}
    report = check_gradients(square, lambda p: {"W": 2 * p["W"] + p["W"] ** 2 * (p["W"] > 3)}, grid)
    lines = failure_text(report, Style(width)).splitlines()
    assert any("W[2, 3]" in line for line in lines[:4])


def test_many_points_and_findings_are_counted_where_they_are_left_out() -> None:
    report = check_gradients(
        lambda x: float(x @ x), lambda x: -x, lambda rng: rng.normal(size=2), seeds=9, locate=False
    )
    lines = failure_text(report, Style(72)).splitlines()
    assert sum(line.startswith("FAIL random initialization") for line in lines) == 6
    assert "… and 3 more points" in lines
    point = report.points[0]
    warned = [Finding(f"odd-{k}", "warning", None, f"so {k}", point=point.name) for k in range(9)]
    more = dataclasses.replace(report, findings=(*report.findings, *warned))
    lines = failure_text(more, Style(72)).splitlines()
    assert sum("(odd-" in line for line in lines) == 6
    assert "… and 3 more findings" in lines


def test_a_text_beyond_sixty_lines_ends_with_dots() -> None:
    long = " ".join(["word"] * 900)
    report = dataclasses.replace(wrong(["W"]), notes=(long,))
    lines = failure_text(report, Style(72)).splitlines()
    assert (len(lines), lines[-1]) == (60, "…")


def test_no_table_of_outputs_is_shown_where_none_of_many_is_wrong() -> None:
    point: Any = SimpleNamespace(outputs=(), matrix=(1000, 3))
    assert _output_table(point, 80) == []


@pytest.mark.parametrize(
    ("verdict", "error", "said"),
    [
        ("ok", 0.5, "relative error 5.0e-01 over all, within the error bars"),
        ("kink", 0.5, "relative error 5.0e-01 over all, within the error bars"),
        ("bug", 0.5, "relative error 5.0e-01 (bug)"),
        ("ok", 1e-9, "relative error 1.0e-09 (great)"),
        ("bug", 1e-9, "relative error 1.0e-09 over all, too small to show it"),
    ],
)
def test_a_band_that_contradicts_the_verdict_is_explained(
    verdict: str, error: float, said: str
) -> None:
    parameters = (SimpleNamespace(verdict=verdict),)
    point: Any = SimpleNamespace(relative_error=error, verdict=verdict, parameters=parameters)
    assert figure_words(point) == said


def test_a_test_of_which_no_more_is_known_passed_and_is_not_called_unchecked() -> None:
    record = TestRecord("test_it.py::test_it")
    assert (record.outcome, record.unchecked, record.failed) == ("passed", False, False)
