"""The map of a matrix in a report: which of its entries are wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.context import Style
from pytest_gradcheck.report.map import _matrix_map, error_map
from pytest_gradcheck.report.terminal import LINES, failure_text

Array = npt.NDArray[np.float64]


def checked(shape: tuple[int, ...], where: Any, **settings: Any) -> Report:
    """Check with half of the gradient in one place."""
    x = np.random.default_rng(0).uniform(0.1, 1.0, size=shape)

    def grad(x: Array) -> Array:
        result = np.cos(x)
        result[where] *= 0.5
        return result

    return check_gradients(lambda x: float(np.sin(x).sum()), grad, x, **settings)


def drawn(report: Report, width: int = 72, ascii: bool = True) -> list[str]:
    return error_map(report.points[0], "theta", Style(width, ascii))


def test_every_entry_has_its_character() -> None:
    lines = drawn(checked((3, 4), np.s_[1]))
    assert lines == [
        "theta, a character for each entry (# wrong, . not):",
        "  ....",
        "  ####",
        "  ....",
    ]


def test_terminals_with_more_than_ascii_get_blocks() -> None:
    assert drawn(checked((3, 4), np.s_[:, -1]), ascii=False)[1] == "  ···█"


def test_large_matrices_are_condensed() -> None:
    lines = drawn(checked((25, 130), np.s_[3:6]))
    assert lines[0] == "theta, a character for each 3 x 3 entries (# wrong, . not):"
    assert len(lines) == 1 + 9
    assert lines[2] == "  " + "#" * 44
    assert set(lines[1] + lines[3]) == {" ", "."}


@pytest.mark.parametrize(("rows", "shade"), [(1, "-"), (2, "+"), (3, "#")])
def test_a_character_for_several_entries_tells_how_many_are_wrong(rows: int, shade: str) -> None:
    assert drawn(checked((24, 5), np.s_[3 : 3 + rows]))[2] == "  " + 5 * shade


def test_it_is_never_wider_than_the_terminal_nor_longer_than_twelve_lines() -> None:
    for shape in ((9, 100), (40, 40), (300, 3), (11, 61)):
        lines = drawn(checked(shape, np.s_[:2]), width=40)
        assert 0 < len(lines) <= 12
        assert max(map(len, lines[1:])) <= 40


@pytest.mark.parametrize(
    ("shape", "settings"), [((6,), {}), ((1, 6), {}), ((2, 3, 4), {}), ((9, 9), {"mode": "sample"})]
)
def test_what_is_no_matrix_or_not_known_throughout_has_none(
    shape: tuple[int, ...], settings: dict[str, Any]
) -> None:
    report = checked(shape, np.s_[..., :1], **settings)
    assert not report.passed
    assert drawn(report) == []


def test_more_wrong_entries_than_a_report_lists_have_none() -> None:
    assert drawn(checked((60, 30), np.s_[:40])) == []


def test_it_stands_below_the_finding_of_a_part() -> None:
    report = checked((3, 4), np.s_[1])
    assert [finding.code for finding in report.findings] == ["partial"]
    lines = failure_text(report, Style(72, True)).splitlines()
    assert lines[-4:] == drawn(report)


def test_it_is_not_drawn_for_other_causes() -> None:
    report = checked((3, 4), np.s_[:])
    assert [finding.code for finding in report.findings] == ["scale"]
    assert "a character for each" not in failure_text(report, Style(72, True))


def test_a_report_that_is_full_has_no_room_for_it() -> None:
    sizes = np.random.default_rng(1).uniform(0.1, 1, (25, 4, 4))

    def grad(p: list[Array]) -> list[Array]:
        return [np.cos(v) * np.where(np.arange(4) % 2, 1.0, 0.5)[:, None] for v in p]

    report = check_gradients(
        lambda p: float(sum(np.sin(v).sum() for v in p)), grad, list(sizes), mode="full"
    )
    assert {finding.code for finding in report.findings} == {"partial"}
    assert len(failure_text(report, Style(60, True)).splitlines()) <= LINES


def test_a_map_shows_the_errors_of_its_own_parameter_alone() -> None:
    params = {name: np.full((3, 4), 0.7) for name in ("a", "b")}

    def grad(p: Any) -> Any:
        answer = {name: np.cos(value) for name, value in p.items()}
        answer["a"][1] *= 0.5
        answer["b"][:, 0] *= 0.5
        return answer

    report = check_gradients(lambda p: float(np.sum(np.sin([*p.values()]))), grad, params)
    lines = {name: error_map(report.points[0], name, Style(72, True))[1:] for name in params}
    assert lines == {"a": ["  ....", "  ####", "  ...."], "b": ["  #..."] * 3}


@pytest.mark.parametrize(("wrong", "is_drawn"), [(0, False), (1, True), (5, True), (6, False)])
def test_a_jacobian_has_a_map_where_some_of_its_entries_are_wrong_and_not_all(
    wrong: int, is_drawn: bool
) -> None:
    A = np.arange(1.0, 7.0).reshape(2, 3)
    factors = np.where(np.arange(6) < wrong, 3.0, 1.0).reshape(2, 3)
    report = check_gradients.jacobian(
        lambda x: A @ x, lambda x: factors * A, np.ones(3), locate=False
    )
    assert bool(_matrix_map(report.points[0], (2, 3), Style(72, True))) == is_drawn
