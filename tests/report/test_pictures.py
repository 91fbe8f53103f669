"""What stands in the pictures of the page, as a reader sees it."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.colors import SymLogNorm

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.report.html import _pictures
from pytest_gradcheck.report.html.pictures import (
    GUIDE,
    _description,
    _scale,
    curve_picture,
    errors_picture,
    map_picture,
    scatter_picture,
)
from pytest_gradcheck.report.summary import drawn
from pytest_gradcheck.verdict.pictures import Panel, Picture, error_curve


def written(picture: str) -> list[str]:
    """Return the texts of a picture."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture)


@pytest.mark.parametrize("largest", [1e-9, 1e-3, 1.0])
def test_steps_of_a_curve_are_numbers_and_no_formulas(largest: float) -> None:
    steps = [largest * 10.0**-k for k in range(6)]
    drawn = {
        "steps": steps,
        "errors": steps,
        "chosen": steps[2],
        "error_bar": 0.0,
        "name": "w[$0$]",
    }
    ticks = [said for said in written(curve_picture(drawn, "")[0]) if said[:1].isdigit()]
    assert len(ticks) >= 6
    assert all(float(tick) > 0 for tick in ticks)


def test_a_scatter_of_small_gradients_has_ticks_that_differ() -> None:
    values = [0.001, 0.002, 0.004]
    drawn = {"analytic": values, "numerical": values, "wrong": [False] * 3}
    ticks = [said for said in written(scatter_picture(drawn, None, "")[0]) if said[:1].isdigit()]
    assert len(set(ticks)) >= 4


def test_pictures_stand_on_the_ground_of_the_page_dark_or_light() -> None:
    """A white frame of a legend would hide its text, which is light on a dark page."""
    values = [0.1, 0.2, 0.4]
    curve = {"steps": values, "errors": values, "chosen": 0.1, "error_bar": 0.2, "name": "w"}
    scatter = {"analytic": values, "numerical": values, "wrong": [False, True, False]}
    for picture, _ in (curve_picture(curve, ""), scatter_picture(scatter, 2.0, "")):
        assert "wrong" in written(picture) or "its error bar" in written(picture)
        assert re.findall(r"fill: ?(?:#fff\w*|white)", picture) == []


def with_faults(shape: tuple[int, ...], *wrong: Any) -> Report:
    """Return the report of a gradient that is wrong at these indices."""
    theta = np.linspace(1.0, 2.0, int(np.prod(shape))).reshape(shape)

    def grad(x: Any) -> Any:
        answer = 2 * x
        for where in wrong:
            answer[where] *= -3
        return answer

    return check_gradients(lambda x: float(np.sum(x * x)), grad, theta, mode="full", locate=False)


def the_map(report: Report) -> dict[str, Any]:
    """Return the map of the only parameter."""
    (picture,) = drawn(report)["pictures"]
    (found,) = picture["maps"]
    return dict(found)


def test_rows_and_columns_that_are_wrong_as_a_whole_are_said_and_marked() -> None:
    told = the_map(with_faults((8, 9), 2, *((slice(None), k) for k in range(6))))
    assert (told["rows"], told["columns"]) == ([2], list(range(6)))
    picture, said = map_picture(told, "")
    assert said.endswith("; row 2 as a whole; columns 0, 1, 2, 3, 4, ... as a whole")
    spared = the_map(with_faults((8, 9), (2, 3)))
    assert "as a whole" not in map_picture(spared, "")[1]
    assert picture.count("<use ") - map_picture(spared, "")[0].count("<use ") == 7


def test_a_matrix_that_is_wrong_throughout_marks_no_lines() -> None:
    told = the_map(with_faults((3, 4), ...))
    assert (told["rows"], told["columns"]) == ([], [])
    assert map_picture(told, "")[1].endswith("3 x 4: 12 of 12 cells are wrong")


def test_slices_of_a_tensor_stand_side_by_side() -> None:
    told = the_map(with_faults((2, 3, 4), (1, 0, 2)))
    assert told["notes"] == ["2 slices of 3 x 4, side by side"]
    assert [len(row) for row in told["verdicts"]] == [9] * 3
    assert [row[4] for row in told["verdicts"]] == [-1] * 3  # the column between
    assert [row[4] for row in told["analytic"]] == [None] * 3
    wrong = [(i, j) for i, row in enumerate(told["verdicts"]) for j, c in enumerate(row) if c > 2]
    assert wrong == [(0, 7)]


def test_of_many_slices_those_with_the_worst_components_are_shown() -> None:
    told = the_map(with_faults((20, 2, 3), (19, 1, 2)))
    assert told["notes"] == [
        "12 of 20 slices of 2 x 3, side by side, those with the worst components"
    ]
    assert told["verdicts"][1][-1] > 2
    assert told["analytic"][1][-1] == pytest.approx(-3 * 2 * 2.0)


@pytest.mark.parametrize(
    ("cells", "key", "linear"),
    [
        ([1e-6, -1e-5, 1e-5, 1e3], ["-1e+03", "0", "1e+03"], False),
        ([1e-6, 1.0, 1.0, 20.0], ["-20", "0", "20"], True),  # one small value is no matter
        ([1.0, 1.0, 1.0, 31.0], ["-31", "0", "31"], False),
        ([0.0, 0.0, 0.0, 0.0], ["-1", "0", "1"], True),
    ],
)
def test_values_of_many_decades_share_a_scale_that_shows_them_all(
    cells: list[float], key: list[str], linear: bool
) -> None:
    known = {"name": "W", "shape": [1, 4], "errors": [[1e-9] * 4], "verdicts": [[0] * 4]}
    told = {**known, "analytic": [cells], "numerical": [cells], "rows": [], "columns": []}
    picture, _ = map_picture({**told, "notes": []}, "")
    shown = [text.replace("\N{MINUS SIGN}", "-") for text in written(picture)]
    assert shown[-3:] == key
    assert isinstance(_scale([cells]), SymLogNorm) != linear


def test_a_scatter_of_many_components_keeps_the_wrong_ones() -> None:
    (picture,) = drawn(with_faults((60, 60), (59, 1), (3, 7)))["pictures"]
    assert len(picture["scatter"]["wrong"]) < 3600
    assert sum(picture["scatter"]["wrong"]) == 2


def test_a_fault_is_a_plateau_of_a_curve_over_eleven_decades_of_steps() -> None:
    theta = Theta(np.array([1.0, 2.0]))
    evaluator = SerialEvaluator(lambda: float(np.sum(theta.tree**2)), theta, 5.0)
    comparison: Any = SimpleNamespace(
        theta=theta,
        gradient=np.array([2.0, -12.0]),
        judgement=SimpleNamespace(verdicts=np.array([0, 4]), errors=np.array([0.0, 1.0])),
        approximation=SimpleNamespace(values=np.array([2.0, 4.0]), error_bars=np.zeros(2)),
    )
    curve = error_curve(evaluator, comparison)
    assert curve is not None
    assert (curve.name, curve.chosen) == ("theta[1]", 16.0)
    assert curve.steps[[0, -1]] == pytest.approx([0.2, 2e-12])  # the component is 2
    assert curve.errors[:16] == pytest.approx(np.full(16, 16.0), rel=1e-3)


def test_a_jacobian_is_drawn_with_a_row_for_each_output() -> None:
    A = np.arange(1.0, 13).reshape(3, 4)
    wrong = A.copy()
    wrong[2, 1] = -7
    report = check_gradients.jacobian(lambda x: A @ x, lambda x: wrong, np.ones(4), locate=False)
    told = the_map(report)
    assert np.array(told["analytic"]) == pytest.approx(wrong)
    assert np.array(told["numerical"]) == pytest.approx(A)
    assert [(i, j) for i in range(3) for j in range(4) if told["verdicts"][i][j] > 2] == [(2, 1)]


def test_a_large_jacobian_is_drawn_in_blocks_by_their_worst_entries() -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(400, 900))
    wrong = A.copy()
    wrong[399, 899] += 50
    report = check_gradients.jacobian(lambda x: A @ x, lambda x: wrong, np.ones(900), locate=False)
    told = the_map(report)
    cells = np.array(told["verdicts"])
    assert cells.shape[0] < 400
    assert cells.shape[1] < 900
    assert np.argwhere(cells > 2).tolist() == [[cells.shape[0] - 1, cells.shape[1] - 1]]
    assert told["analytic"][-1][-1] == pytest.approx(wrong[399, 899])


def test_a_map_has_48_rows_of_96_cells_at_most() -> None:
    none = np.zeros((100, 200))
    panel = Panel("W", none, none, none, none.astype(np.int8))
    (told,) = Picture((panel,)).drawn()["maps"]
    assert np.shape(told["verdicts"]) == np.shape(told["errors"]) == (48, 96)
    assert told["notes"] == ["each cell is the worst of about 4 components"]


def test_the_line_of_equal_gradients_rises_from_one_corner_to_the_other() -> None:
    values = [-1.0, 0.5, 2.0]
    drawn = {"analytic": values, "numerical": values, "wrong": [False] * 3}
    picture, _ = scatter_picture(drawn, None, "")
    line = rf'<path d="M (\S+) (\S+) L (\S+) (\S+) " clip-path[^>]*stroke: {GUIDE}'
    ((left, bottom, right, top),) = re.findall(line, picture)
    assert float(right) - float(left) > 150
    assert float(bottom) - float(top) > 100  # heights count from above


def test_the_maps_of_a_parameter_stand_side_by_side_within_the_picture() -> None:
    picture, _ = map_picture(the_map(with_faults((3, 4), (1, 2))), "")
    (width,) = re.findall(r'<svg viewBox="0 0 (\S+) ', picture)
    names = "relative error|analytic|numerical"
    titles = re.findall(rf'<text[^>]* x="(\S+)"[^>]*>({names})</text>', picture)
    places = {name: float(at) / float(width) for at, name in titles}
    assert list(places) == ["relative error", "analytic", "numerical"]
    assert 0.1 < places["relative error"] < places["analytic"] - 0.2
    assert places["analytic"] < places["numerical"] - 0.2 < 0.7


def test_a_legend_names_the_dots_of_a_scatter_first_and_then_its_crosses() -> None:
    values = [-1.0, 0.5, 2.0]
    drawn = {"analytic": values, "numerical": values, "wrong": [False, True, False]}
    picture, _ = scatter_picture(drawn, None, "")
    assert [said for said in written(picture) if "wrong" in said] == ["not wrong", "wrong"]


def test_errors_of_right_parameters_stand_with_their_titles_within_a_thin_edge() -> None:
    told = [the_map(with_faults((3, 4), (0, 0))), the_map(with_faults((2, 5), (0, 0)))]
    picture, said = errors_picture(told, "")
    assert said == "relative errors, no cell is wrong: theta, theta"
    (width,) = re.findall(r'<svg viewBox="0 0 (\S+) ', picture)
    titles = re.findall(r'<text[^>]* x="(\S+)" y="(\S+)"[^>]*>theta</text>', picture)
    (left, top), (right, same) = ((float(x), float(y)) for x, y in titles)
    assert 0 < left < right < float(width)
    assert top == same > 0
    assert "stroke-width: 0.6;" in picture


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ([0, 1, 2], "no cell is wrong"),
        ([2, 3, -1], "1 of 2 cells are wrong"),
        ([3, 4, 5], "3 of 3"),
    ],
)
def test_kinks_and_open_components_are_no_wrong_cells(codes: list[int], said: str) -> None:
    told = {"verdicts": [codes], "rows": [], "columns": [], "notes": []}
    assert _description(told).startswith(said)


@pytest.mark.parametrize(
    ("verdict", "count", "pictures"),
    [("bug", 1, 0), ("bug", 2, 2), ("bug", 3, 2), ("ok", 2, 1), ("kink", 3, 2)],
)
def test_one_number_alone_is_drawn_neither_as_a_scatter_nor_as_a_curve(
    verdict: str, count: int, pictures: int
) -> None:
    """Nor is a scatter where all is ok."""
    values = [1.0] * count
    scatter = {"analytic": values, "numerical": values, "wrong": [True] * count}
    curve = {"steps": values, "errors": values, "chosen": 1.0, "error_bar": 0.0, "name": "w"}
    told = {"maps": [], "scatter": scatter, "curve": curve}
    assert len(_pictures(told, {"verdict": verdict, "findings": []}, "")) == pictures
