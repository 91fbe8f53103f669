"""What is kept of a check, and the lines and files that are made of it."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck.context import Style
from pytest_gradcheck.report import files
from pytest_gradcheck.report.compare import changes, earlier
from pytest_gradcheck.report.html import COMPONENTS
from pytest_gradcheck.report.record import Journal, RunRecord, TestRecord
from pytest_gradcheck.report.summary import _figures, drawn, lines, totals


def check(factor: float, size: int = 2, **more: Any) -> dict[str, Any]:
    """Return what is kept of a check whose gradient is `factor` times as large as it should be."""
    report = check_gradients(
        lambda p: float(p["W<1>"] @ p["W<1>"]),
        lambda p: {"W<1>": 2 * factor * p["W<1>"]},
        {"W<1>": np.arange(1.0, size + 1)},
    )
    return {**drawn(report), **more}


def run(tests: Mapping[str, Sequence[dict[str, Any]]], expected: Sequence[str] = ()) -> RunRecord:
    """Return the record of a run: tests fail unless they are right or expected to be wrong."""
    records = []
    for name, checks in tests.items():
        fails = any(not check["passed"] for check in checks) and name not in expected
        outcome = "failed" if fails else "passed"
        records.append(TestRecord(name, checks=tuple(checks), outcome=outcome))
    return RunRecord(tests=tuple(records))


def texts(record: RunRecord, verbosity: int, width: int = 80) -> list[str]:
    return [text for text, _ in lines(record, verbosity, None, Style(width, ascii=True))]


def test_one_check_is_spoken_of_in_the_singular() -> None:
    assert (
        totals(run({"t": [check(1.0, evaluations=1)]}).tests)
        == "1 check in 1 test: 1 right; 1 cost call"
    )


def test_large_numbers_have_separators() -> None:
    found = totals(run({"t": [check(1.0, evaluations=1234567)] * 2}).tests)
    assert found == "2 checks in 1 test: 2 right; 2,469,134 cost calls"


def test_the_worst_check_of_a_test_stands_for_all_of_it() -> None:
    tests = run({"t": [check(1.0), check(2.0), check(3.0), check(2.5)]})
    assert texts(tests, 0)[1:] == [
        "FAIL   t (worst of 4 checks): W<1> is 3.000 x the numerical gradient: a plain f~"
    ]


def test_what_is_wrong_as_expected_is_shown_only_where_all_are() -> None:
    tests = run({"t": [check(2.0)]}, expected=["t"])
    assert len(texts(tests, 0)) == 1
    assert texts(tests, 1)[1] == "wrong  t"


@pytest.mark.parametrize("verbosity", [0, 1, 2])
@pytest.mark.parametrize("width", [40, 80])
def test_lines_fit_the_terminal(verbosity: int, width: int) -> None:
    tests = {
        "tests/test_of_a_long_name.py::TestClass::test_of_a_long_name[parameter]": [
            check(2.0), check(1.0, warnings=["a warning of many words " * 6])
        ]
    }  # fmt: skip
    found = texts(run(tests), verbosity, width)
    assert [line for line in found if len(line) > width] == []
    words = " ".join(" ".join(found).split())
    assert ("a warning of many words " * 6).strip() in words or verbosity == 0


def test_a_check_that_is_not_a_number_is_the_worst() -> None:
    tests = run({"t": [check(1e6), check(np.nan)]})
    assert "the gradient is nan" in texts(tests, 0)[1]


def test_json_has_every_check_and_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "out.json"
    files.write(path, run({"t": [check(np.nan), check(1.0)]}))

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    found = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert [item["passed"] for item in found["checks"]] == [False, True]
    assert found["checks"][0]["components"][0]["analytic"] == "nan"


def test_markdown_keeps_its_table_whatever_the_names(tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    files.write(path, run({"test[a|b]": [check(2.0)], "plain": [check(1.0)]}))
    table = [line for line in path.read_text().splitlines() if line.startswith("|")]
    assert len(table) == 4
    assert [line.replace("\\|", "").count("|") for line in table] == [6] * 4
    assert "`test[a\\|b]`" in table[2]


def test_the_page_is_escaped_ascii_with_the_worst_first(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    tests = {
        "right": [check(1.0)],
        "mild": [check(1.5)],
        "a wörst <script>": [check(9.0)],
        "expected": [check(99.0)],
    }
    files.write(path, run(tests, expected=["expected"]))
    page = path.read_text(encoding="ascii")
    order = ["a w&#246;rst &lt;script&gt;</code>", "mild</code>", "expected</code>", "right</code>"]
    assert [page.count(name) for name in order] == [1] * 4
    assert sorted(order, key=page.index) == order
    assert re.findall(r'data-group="(\w+)" open', page) == ["wrong", "wrong"]
    assert "W&lt;1&gt;[1]" in page
    assert page.count("<script") == 1  # the page's own
    assert "http" not in page
    assert "cause (scale):" in page


def test_the_page_of_many_components_says_how_many_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    files.write(path, run({"t": [check(2.0, size=COMPONENTS + 7)]}))
    page = path.read_text(encoding="ascii")
    assert f"{COMPONENTS} of {COMPONENTS + 7}" in page
    assert page.count("<tr><td><code>W&lt;1&gt;[") == COMPONENTS


@pytest.mark.parametrize("suffix", [".json", ".md", ".html"])
def test_a_run_without_checks_makes_a_report_that_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    files.write(path, RunRecord())
    text = path.read_text()
    assert '"checks": []' in text or "0 checks in 0 tests; 0 cost calls" in text


def test_the_band_of_a_figure_gives_way_to_a_verdict_that_it_contradicts() -> None:
    """A gradient of rounding dust beside zeros is right, and relatively all of it is wrong."""
    passing = {**check(1.0), "relative_error": 1.0, "band": "bug"}
    (line,) = (text for text in texts(run({"t": [passing]}), 1) if "relative error" in text)
    assert "relative error 1.0e+00, resolution" in line


def changed(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the kinds and sentences of what got worse from one check to another."""
    before = run({"t": [old]}).to_dict()
    before["checks"][0] |= {name: old[name] for name in ("verdict", "evaluations")}
    found = changes(before, run({"t": [new]}))
    return [(change["kind"], change["message"]) for change in found]


def test_a_check_that_is_no_longer_decided_got_worse() -> None:
    right = check(1.0)
    for verdict in ("kink", "inconclusive"):
        undecided = {**right, "verdict": verdict}
        said = "newly undecided, was ok"
        assert changed(right, undecided) == [("newly undecided", said)]
        assert changed(undecided, undecided) == changed(undecided, right) == []
        assert changed(check(2.0), undecided) == []


def test_a_check_with_half_as_many_calls_again_got_slower() -> None:
    few, many = check(1.0, evaluations=1000), check(1.0, evaluations=1501)
    assert changed(few, many) == [("slower", "slower: 1,501 cost calls, was 1,000")]
    assert changed(few, {**many, "evaluations": 1500}) == changed(many, few) == []
    # Below a hundred calls none is slow.
    assert changed({**few, "evaluations": 10}, {**few, "evaluations": 150}) == []


def test_of_a_folder_the_newest_report_is_compared_and_one_has_to_be_there(
    tmp_path: Path,
) -> None:
    with pytest.raises(FileNotFoundError, match=r"no \.json file in"):
        earlier(tmp_path)
    for age, name in enumerate(["b.json", "a.json", "c.json"]):
        files.write(tmp_path / name, run({name: [check(1.0)]}))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    assert earlier(tmp_path)["checks"][0]["test"] == "b.json"


def test_markdown_says_what_is_wrong_with_the_run_itself(tmp_path: Path) -> None:
    record = dataclasses.replace(
        run({f"t{number:03}": [check(1.0)] for number in range(files.ROWS + 3)}),
        cut_short=True,
        troubles=("no *check* at all",),
        changes=tuple({"test": f"t|{k}", "message": "slower"} for k in range(files.ROWS + 1)),
    )
    files.write(tmp_path / "out.md", record)
    told = (tmp_path / "out.md").read_text(encoding="utf-8").splitlines()
    assert "The run was cut short: what follows is not all of it." in told
    assert [line for line in told if line.startswith("- ")] == ["- no \\*check\\* at all"]
    table = told.index("| test | what got worse |")
    assert told[table + 2] == "| `t\\|0` | slower |"
    assert sum(line.endswith("| slower |") for line in told) == files.ROWS
    assert told[-1] == "… and 3 more tests"


def test_many_changes_for_the_worse_are_counted() -> None:
    every = tuple({"test": f"t{k}", "message": "slower"} for k in range(25))
    record = dataclasses.replace(run({"t": [check(1.0)]}), changes=every)
    found = texts(record, 0)
    assert found[-2:] == ["worse  t19: slower", "~ and 5 more that got worse"]
    assert len(found) == 22


def test_of_the_examples_of_hypothesis_the_page_shows_the_last_that_fails(tmp_path: Path) -> None:
    every = [check(factor, hypothesis=True) for factor in (9.0, 2.0, 1.0)]
    files.write(tmp_path / "out.html", run({"t": every}))
    page = (tmp_path / "out.html").read_text(encoding="ascii")
    assert "2.000 x the numerical gradient" in page
    assert "9.000 x the numerical gradient" not in page


def test_the_slowest_checks_come_first_and_of_equal_ones_the_first_name() -> None:
    slow, quick = check(1.0, seconds=2.0, evaluations=4), check(1.0, seconds=1.0, evaluations=4)
    record = run({"b": [quick], "a": [quick], "c": [slow]})
    found = [text for text, _ in lines(record, 0, 2, Style(80, ascii=True))]
    assert found[-3:] == [
        "slowest 2 checks",
        "   2.000 s         4 calls   500,000 us each  c",
        "   1.000 s         4 calls   250,000 us each  a",
    ]


def test_slowest_checks_of_a_run_without_any_are_no_section() -> None:
    found = [text for text, _ in lines(RunRecord(), 0, 2, Style(80, ascii=True))]
    assert found == ["0 checks in 0 tests; 0 cost calls"]


def test_markdown_says_of_a_right_check_whether_its_test_failed(tmp_path: Path) -> None:
    tests = (
        TestRecord("right", checks=(check(1.0),), outcome="passed"),
        TestRecord("after", checks=(check(1.0),), outcome="failed"),
        TestRecord("wrong", checks=(check(2.0),), outcome="failed"),
    )
    files.write(tmp_path / "out.md", RunRecord(tests=tests))
    rows = (tmp_path / "out.md").read_text(encoding="utf-8").splitlines()
    verdicts = {row.split(" | ")[0]: row.split(" | ")[1] for row in rows if row.startswith("| `")}
    assert verdicts == {"| `right`": "ok", "| `after`": "ok (the test failed)", "| `wrong`": "bug"}


def test_the_page_shows_no_ratio_to_a_slope_of_zero(tmp_path: Path) -> None:
    report = check_gradients(
        lambda p: float(p["a"] @ p["a"]) + 0.0 * float(p["b"].sum()),
        lambda p: {"a": 3 * p["a"], "b": np.array([0.5])},
        {"a": np.array([1.0]), "b": np.array([2.0])},
    )
    ratios = {c.name: c.analytic / c.numerical if c.numerical else "" for c in report.components}
    assert ratios == {"a[0]": pytest.approx(1.5), "b[0]": ""}
    files.write(tmp_path / "out.html", run({"t": [drawn(report)]}))
    page = (tmp_path / "out.html").read_text(encoding="ascii")
    row = re.search(r"<tr><td><code>b\[0\]</code></td>(.*?)</tr>", page, re.DOTALL)
    assert row is not None
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row[1])[:3] == ["0.5", "0", ""]


@pytest.mark.parametrize(("first", "second"), [("", "why"), ("why", ""), ("why", "other")])
def test_the_first_reason_of_a_tests_phases_is_kept(first: str, second: str) -> None:
    journal = Journal()
    for phase, reason in (("passed", first), ("skipped", second)):
        journal.note(("t", ""), TestRecord("t", outcome=phase, reason=reason))
    (record,) = journal
    assert (record.reason, record.outcome) == ("why", "skipped")


@pytest.mark.parametrize(("seeds", "said"), [(1, ""), (2, "2 points"), (3, "3 points")])
def test_points_are_counted_where_there_are_several(seeds: int, said: str) -> None:
    report = check_gradients(
        lambda x: float(x @ x), lambda x: 2 * x, lambda rng: rng.normal(size=3), seeds=seeds
    )
    counted = f"3 components, {said}, relative" if said else "3 components, relative"
    assert counted in repr(report)
    counted = f"3 components at {said}, relative" if said else "3 components, relative"
    check: Any = {**report.to_dict(), "covered": 3, "band": "great", "resolution": 1e-5}
    assert counted in _figures(check)
