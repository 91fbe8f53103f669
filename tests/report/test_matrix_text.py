"""The text of a report on a Jacobian: the cause first, rows of outputs, a map of the matrix."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.context import Style
from pytest_gradcheck.report.terminal import failure_text

Array = npt.NDArray[np.float64]

A = np.random.default_rng(51).normal(size=(4, 6))
X = np.linspace(0.2, 0.7, 6)


def fun(x: Array) -> Array:
    return np.asarray(np.sin(A @ x))


def wrong(x: Array) -> Array:
    J = np.cos(A @ x)[:, None] * A
    J[2] *= -1
    return np.asarray(J)


def test_the_first_line_is_the_cause_and_outputs_have_rows() -> None:
    lines = str(check_gradients.jacobian(fun, wrong, X)).splitlines()
    assert lines[0].startswith("jac in row 2 (out[2]) is -1.000 x the numerical Jacobian")
    rows = [line.split() for line in lines if line.startswith("out[")]
    assert [(row[0], row[-1]) for row in rows] == [
        ("out[0]", "ok"),
        ("out[1]", "ok"),
        ("out[2]", "bug"),
        ("out[3]", "ok"),
    ]


def test_the_map_shows_the_matrix() -> None:
    lines = str(check_gradients.jacobian(fun, wrong, X)).splitlines()
    assert lines[-4:] == ["  ······", "  ······", "  ██████", "  ······"]


def test_of_many_outputs_the_one_to_blame_has_a_row() -> None:
    many = np.random.default_rng(52).normal(size=(300, 6))

    def one(x: Array) -> Array:
        J = np.cos(many @ x)[:, None] * many
        J[217, 3] += 1.0
        return np.asarray(J)

    report = check_gradients.jacobian(lambda x: np.sin(many @ x), one, X)
    lines = str(report).splitlines()
    assert [line.split()[0] for line in lines if line.startswith("out[")] == ["out[217]"]
    assert len(lines) <= 60


def test_a_report_of_a_jacobian_is_plain_json() -> None:
    told = check_gradients.jacobian(fun, wrong, X).to_dict()
    component = told["components"][0]
    assert (component["output"], component["entry"][0]) == ("out[2]", 2)
    assert told["points"][0]["matrix"] == [4, 6]
    assert told["points"][0]["outputs"][2]["verdict"] == "bug"


def test_a_law_that_is_broken_is_the_first_line() -> None:
    report = check_gradients.jvp(fun, lambda x, dx: np.cos(A @ x) * (A @ dx) + 1.0, X)
    assert "nonlinear" in {finding.code for finding in report.findings}
    right = lambda x, dx: np.cos(A @ x) * (A @ dx)  # noqa: E731
    other = check_gradients.jvp(fun, right, X, vjp=lambda x, u: np.ones(6))
    assert "is not the adjoint of" in " ".join(str(other).split())
    assert " ".join(str(other).split()).count("is not the adjoint of") == 1
    assert "too small to show it" not in str(other)


def test_names_of_entries_stay_whole_where_fewer_columns_make_room() -> None:
    def jvp(x: Array, dx: Array) -> Array:
        return np.asarray(np.sin(A @ x) * (A @ dx))

    report = check_gradients.jvp(fun, jvp, X)
    lines = failure_text(report, Style(72)).splitlines()
    (head,) = (i for i, line in enumerate(lines) if line.startswith("worst"))
    rows = lines[head + 1 : head + 5]
    assert all(re.match(r"d out\[\d\] / d x\[\d\], 5 more  ", row) for row in rows)
    assert max(map(len, lines)) <= 72


@pytest.mark.parametrize("size", [1.0, 1e-170, 1e170])
def test_the_figure_of_a_matrix_is_the_courses(size: float) -> None:
    """||D - J|| / (||D|| + ||J||) of all entries, whatever their size."""
    M = size * np.arange(1.0, 7).reshape(2, 3)
    report = check_gradients.jacobian(lambda x: M @ x, lambda x: 3 * M, np.ones(3), locate=False)
    assert report.relative_error == pytest.approx(0.5)
    one = M.copy()
    one[1, 2] *= 2
    report = check_gradients.jacobian(lambda x: M @ x, lambda x: one, np.ones(3), locate=False)
    M, one = M / size, one / size
    figure = np.linalg.norm(one - M) / (np.linalg.norm(one) + np.linalg.norm(M))
    assert report.relative_error == pytest.approx(figure)
