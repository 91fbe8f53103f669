"""The report: its fields, its order, its limits, and its plain form."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import sys
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import (
    L2,
    Component,
    Finding,
    GradientError,
    ParameterReport,
    PointReport,
    Report,
    Settings,
    check_gradients,
    gradcheck,
)
from pytest_gradcheck.report.answer import answer
from pytest_gradcheck.report.report import Report as SameReport
from pytest_gradcheck.report.report import badness

Array = npt.NDArray[np.float64]

VERDICTS = ("ok", "inconclusive", "kink", "suspect", "bug", "nonfinite")


def cost(p: dict[str, Any]) -> float:
    return float(np.sum(p["W1"] ** 2) + np.sum(p["b1"] ** 2))


def params() -> dict[str, Any]:
    return {"W1": np.arange(1.0, 7.0).reshape(2, 3), "b1": np.array([1.0, 2.0])}


def faulty(p: dict[str, Any]) -> dict[str, Any]:
    dW1 = 2 * p["W1"]
    dW1[0, 1] *= 1.0001
    dW1[1, 2] = np.nan
    dW1[1, 0] *= 3
    dW1[0, 0] *= 1.1
    return {"dW1": dW1, "db1": 2 * p["b1"]}


@pytest.fixture(scope="module")
def report() -> Report:
    return check_gradients(cost, faulty, params())


FIELDS: dict[type, list[str]] = {
    Report: ["passed", "verdict", "components", "findings", "evaluations", "points", "seed"],
    PointReport: [
        "name",
        "passed",
        "verdict",
        "relative_error",
        "parameters",
        "components",
        "findings",
    ],
    ParameterReport: [
        "name",
        "shape",
        "size",
        "checked",
        "covered",
        "relative_error",
        "verdict",
        "counts",
        "resolution",
    ],
    Component: [
        "parameter",
        "index",
        "name",
        "analytic",
        "numerical",
        "error_bar",
        "relative_error",
        "verdict",
        "point",
    ],
    Finding: ["code", "severity", "parameter", "message", "factor", "point"],
}


@pytest.mark.parametrize(("kind", "names"), FIELDS.items(), ids=[kind.__name__ for kind in FIELDS])
def test_every_part_of_a_report_has_its_fields_and_is_frozen(kind: Any, names: list[str]) -> None:
    assert [item.name for item in dataclasses.fields(kind)][: len(names)] == names
    assert kind.__dataclass_params__.frozen


def test_the_report_carries_the_settings_in_force(report: Report) -> None:
    assert report.settings == Settings(locate=False)
    assert isinstance(report, SameReport)


def test_components_are_those_that_are_not_ok_worst_first(report: Report) -> None:
    assert [(c.name, c.verdict) for c in report.components] == [
        ("W1[1, 2]", "nonfinite"),
        ("W1[1, 0]", "bug"),
        ("W1[0, 0]", "bug"),
        ("W1[0, 1]", "suspect"),
    ]
    assert (report.passed, report.verdict) == (False, "nonfinite")


def test_a_component_tells_both_values_and_their_difference(report: Report) -> None:
    component = report.components[1]
    assert (component.parameter, component.index, component.point) == ("W1", (1, 0), "given")
    assert component.analytic == 24.0
    assert component.numerical == pytest.approx(8.0)
    assert component.relative_error == pytest.approx(0.5, rel=1e-6)
    assert 0 <= component.error_bar < 1e-5


def test_a_parameter_counts_its_components_by_verdict(report: Report) -> None:
    W1, b1 = report.parameters
    assert (W1.name, W1.shape, W1.size, W1.checked) == ("W1", (2, 3), 6, 6)
    assert tuple(W1.counts) == VERDICTS
    assert list(W1.counts.values()) == [2, 0, 0, 1, 2, 1]
    assert W1.verdict == "nonfinite"
    assert (b1.verdict, b1.counts["ok"]) == ("ok", 2)
    assert b1.resolution == pytest.approx(1e-5)
    assert W1.relative_error == math.inf


def test_the_figure_is_the_courses_for_the_whole_and_for_a_parameter() -> None:
    report = check_gradients(cost, lambda p: {"dW1": 4 * p["W1"], "db1": 2 * p["b1"]}, params())
    W, b = 2 * params()["W1"].ravel(), 2 * params()["b1"]
    whole = np.concatenate([W, b])
    expected = np.linalg.norm(W) / (
        np.linalg.norm(whole) + np.linalg.norm(np.concatenate([2 * W, b]))
    )
    assert report.relative_error == pytest.approx(expected, rel=1e-6)
    assert report.parameters[0].relative_error == pytest.approx(1 / 3, rel=1e-6)
    assert report.parameters[1].relative_error < 1e-8


def test_at_most_a_thousand_components_of_a_parameter_are_listed_and_all_are_counted() -> None:
    weights = np.linspace(1, 2, 1500)

    def grad(p: dict[str, Array]) -> dict[str, Array]:
        return {"W": weights * np.linspace(1.1, 3, 1500), "v": 2 * weights[:1200]}

    report = check_gradients(
        lambda p: float(weights @ p["W"] + weights[:1200] @ p["v"]),
        grad,
        {"W": np.ones(1500), "v": np.ones(1200)},
    )
    names = [component.parameter for component in report.components]
    assert (names.count("W"), names.count("v")) == (1000, 1000)
    assert [p.counts["bug"] for p in report.parameters] == [1500, 1200]
    errors = [component.relative_error for component in report.components]
    assert errors == sorted(errors, reverse=True)
    assert report.components[0].name == "W[1499]"


def test_several_points_list_no_more_than_a_thousand_of_a_parameter_together() -> None:
    report = check_gradients(
        lambda w: float(np.sum(w)), lambda w: np.full(700, 2.0), lambda: np.ones(700), seeds=2
    )
    assert [len(point.components) for point in report.points] == [700, 700]
    assert len(report.components) == 1000


def test_the_worst_point_gives_the_figure_and_the_parameters() -> None:
    factors = iter([1.0, 1.01, 2.0, 1.0001])

    def draw(rng: np.random.Generator) -> dict[str, Array]:
        return {"w": rng.standard_normal(3), "factor": np.array([next(factors)])}

    report = check_gradients(
        lambda p: float(p["w"] @ p["w"]),
        lambda p: {"w": 2 * p["w"] * p["factor"]},
        draw,
        seeds=4,
        exclude="factor",
    )
    assert [point.verdict for point in report.points] == ["ok", "bug", "bug", "suspect"]
    assert report.worst_point is report.points[2]
    assert report.relative_error == report.points[2].relative_error
    assert report.parameters is report.points[2].parameters
    assert report.components[0].point == "random initialization 3"


def test_a_passing_report_says_so(report: Report) -> None:
    right = check_gradients(cost, lambda p: {k: 2 * v for k, v in p.items()}, params())
    assert (right.passed, right.verdict, right.components, right.findings) == (True, "ok", (), ())


def test_the_error_carries_the_report_and_its_text() -> None:
    with pytest.raises(GradientError) as caught:
        gradcheck(cost, faulty, params())
    assert isinstance(caught.value, AssertionError)
    assert isinstance(caught.value.report, Report)
    assert str(caught.value) == str(caught.value.report)
    assert "W1[1, 2]" in str(caught.value).splitlines()[0]


@pytest.mark.parametrize("severity", ["cause", "warning"])
def test_a_finding_of_a_severity_is_made_of_a_code_and_a_message(severity: str) -> None:
    make = getattr(Finding, severity)
    assert make("units", "degrees?") == Finding("units", severity, None, "degrees?")
    assert make(
        "units", "degrees?", parameter="W", factor=57.3, point="given, penalty off"
    ) == Finding("units", severity, "W", "degrees?", 57.3, "given, penalty off")


def test_a_cause_names_the_parameters_that_it_explains() -> None:
    assert Finding.cause("units", "degrees?", parameters=("W", "b")).parameters == ("W", "b")


def test_a_finding_names_the_parameter_the_factor_and_the_point() -> None:
    report = check_gradients(cost, lambda p: {"W1": 2 * p["W1"], "b1": 8 * p["b1"]}, params())
    finding = report.findings[0]
    assert (finding.code, finding.severity, finding.parameter) == ("scale", "cause", "b1")
    assert finding.factor == pytest.approx(4.0)
    assert finding.point == "given"


# Plain JSON


AWKWARD: dict[str, dict[str, Any]] = {
    "nothing": {},
    "NumPy numbers": {"seed": np.int64(3), "eps": np.float64(1e-5), "bug": np.float32(0.25)},
    "code-only settings": {
        "regularization": L2(0.0, 5),
        "dropout": nullcontext,
        "disable": None,
        "only": ["W*", "b1"],
    },
    "a context manager": {"dropout": nullcontext()},
}


@pytest.mark.parametrize("settings", AWKWARD.values(), ids=AWKWARD.keys())
def test_the_plain_form_is_strict_json_and_the_same_every_time(settings: dict[str, Any]) -> None:
    def text() -> str:
        with np.errstate(all="ignore"):
            report = check_gradients(cost, faulty, params(), **settings)
        return json.dumps(report.to_dict(), allow_nan=False)

    first = text()
    assert first == text()
    assert " at 0x" not in first
    assert json.loads(first)["settings"]["only"] == list(settings.get("only", []))


def test_the_plain_form_holds_everything(report: Report) -> None:
    plain = report.to_dict()
    assert {item.name for item in dataclasses.fields(Report)} - {"style", "seconds"} <= set(plain)
    assert {"relative_error", "parameters"} <= set(plain)
    component = plain["components"][0]
    assert component["index"] == [1, 2]
    assert component["analytic"] == "nan"
    assert component["relative_error"] == "inf"
    assert plain["points"][0]["parameters"][0]["counts"]["bug"] == 2
    assert plain["settings"]["suspect"] == 1e-5
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_data_with_numbers_of_any_kind_is_reported_in_plain_words() -> None:
    report = check_gradients(
        lambda w, keep_prob: float(w @ w),
        lambda w: 2 * w,
        np.ones(2),
        data={"keep_prob": np.float64(0.5)},
    )
    assert report.notes == ("switched off: keep_prob 0.5 -> 1.0",)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_cost_without_a_number_on_either_side_is_nonfinite(value: float) -> None:
    report = check_gradients(
        lambda w: 1.0 if np.all(w == 1) else value, lambda w: 0 * w + 1, np.ones(3)
    )
    assert (report.passed, report.verdict) == (False, "nonfinite")
    assert json.dumps(report.to_dict(), allow_nan=False)
    assert "theta" in str(report)


def test_a_notebook_shows_the_card_of_a_report(report: Report) -> None:
    pytest.importorskip("matplotlib")
    shown = report._repr_html_()
    assert shown.isascii()
    assert all(f"<code>{component.name}</code>" in shown for component in report.components)
    assert shown.count("<svg ") >= len(report.parameters)


def test_a_notebook_without_the_extra_shows_the_text(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pytest_gradcheck.report.html", None)
    assert html.unescape(report._repr_html_()) == f"<pre>{report}</pre>"


def test_the_text_of_a_point_for_programmers_leaves_out_what_is_drawn_of_it(report: Report) -> None:
    assert report.points[0].picture is not None
    assert "picture" not in repr(report.points[0])


def test_a_point_without_components_is_as_bad_as_one_whose_error_is_within_its_bars() -> None:
    right = check_gradients(cost, lambda p: {k: 2 * v for k, v in p.items()}, params()).points[0]
    component = Component("W1", (0, 0), "W1[0, 0]", 1.0, 1.0, 1.0, 0.0, "inconclusive", "given")
    one, other = (
        dataclasses.replace(right, verdict="inconclusive", components=listed, relative_error=0.5)
        for listed in ((), (component,))
    )
    assert badness(one) == badness(other)


@pytest.mark.parametrize("code", ["adjoint", "scale"])
def test_where_no_component_is_listed_the_answer_is_a_cause_and_not_a_line(
    report: Report, code: str
) -> None:
    """Directions showed two parameters to be wrong, and the cause explains one of them."""
    wrong = [dataclasses.replace(one, verdict="bug") for one in report.points[0].parameters]
    findings = (
        Finding.cause("line", "user.py:3: dW1 is wrong", parameter="W1"),
        Finding.cause(code, "W1 is wrong for a reason", parameter="W1"),
    )
    point = dataclasses.replace(
        report.points[0], parameters=tuple(wrong), components=(), findings=findings
    )
    told = dataclasses.replace(report, points=(point,), components=(), findings=findings)
    assert answer(told) == "W1 is wrong for a reason"
