"""The example that grades submissions from reports."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.report.record import RunRecord, TestRecord
from pytest_gradcheck.report.summary import complete

GRADE = Path(__file__).parents[2] / "examples" / "grading" / "grade.py"


def test_a_submission_keeps_the_points_of_what_is_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = check_gradients(
        lambda p: p["a"] ** 2 + p["b"] ** 2,
        lambda p: {"a": 2 * p["a"], "b": 3 * p["b"]},
        {"a": 1.0, "b": 2.0},
    )
    run = RunRecord(tests=(TestRecord("test_net", checks=(complete(report),)),))
    (tmp_path / "ada.json").write_text(json.dumps(run.to_dict()), encoding="utf-8")
    runpy.run_path(str(GRADE))["main"](tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "ada                  5.0 of 10",
        "     5.0  test_net",
    ]
