"""Reports as files: a run as JSON, as a page of HTML, or as Markdown."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_gradcheck.report.record import RunRecord, TestRecord
from pytest_gradcheck.report.summary import totals

__all__ = ["write"]

ROWS = 200
"""Rows of a Markdown table at most: a GitHub step summary holds a megabyte."""


def write(path: Path, run: RunRecord) -> None:
    """Write a run to a file, in the format of its suffix.

    Markdown is appended to a file without a suffix, and to the file of ``GITHUB_STEP_SUMMARY``:
    other steps write there, too.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix.lower()
    if suffix == ".json":
        text = json.dumps(run.to_dict(), indent=2, allow_nan=False) + "\n"
    elif suffix in (".html", ".htm"):
        from pytest_gradcheck.report.html import page

        text = page(run)
    else:
        text = _markdown(run)
    added = suffix not in (".json", ".html", ".htm") and _is_shared(path)
    with path.open("a" if added else "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _is_shared(path: Path) -> bool:
    """Return whether others write to a Markdown file as well."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    return not path.suffix or (summary is not None and path.resolve() == Path(summary).resolve())


def _markdown(run: RunRecord) -> str:
    return "\n".join(_markdown_lines(run)) + "\n"


def _markdown_lines(run: RunRecord) -> Iterator[str]:
    """Yield the lines of the run: the verdict, what got worse, a row a test, the causes."""
    mark = "✅" if run.passed else "❌"
    yield from (f"# {mark} Gradient checks", "", _escaped(totals(run.tests)), "")
    if run.cut_short:
        yield from ("The run was cut short: what follows is not all of it.", "")
    for trouble in run.troubles:
        yield f"- {_escaped(trouble)}"
    if run.troubles:
        yield ""
    if run.changes:
        yield from ("| test | what got worse |", "|---|---|")
        for change in run.changes[:ROWS]:
            yield f"| {_code(change['test'])} | {_escaped(change['message'])} |"
        yield ""
    yield from ("| test | verdict | components | relative error | worst |", "|---|---|---|---|---|")
    for test in run.tests[:ROWS]:
        yield from _rows(test)
    if len(run.tests) > ROWS:
        yield from ("", f"… and {len(run.tests) - ROWS} more tests")


def _rows(test: TestRecord) -> Iterator[str]:
    """Yield the rows of a test: one for each check, or one that says why there is none."""
    checks = test.checks
    if test.hypothesis and test.worst is not None:
        checks = (test.worst,)
    for check in checks:
        yield _row(test, check)
    if not checks:
        words = test.refusals[0].message if test.refusals else test.reason
        cells = (_code(test.nodeid), test.outcome, "", "", _escaped(words))
        yield f"| {' | '.join(cells)} |"


def _row(test: TestRecord, check: Mapping[str, Any]) -> str:
    error = check["relative_error"]
    figure = f"{error:.1e} ({check['band']})" if math.isfinite(error) else str(error)
    verdict = check["verdict"] + " as expected" * test.is_expected(check)
    if check["passed"] and test.failed:
        verdict += f" (the test {test.outcome})"
    words = "" if check["passed"] else "<br>".join(map(_escaped, _causes(check)))
    cells = (_code(test.nodeid), verdict, str(check["covered"]), figure, words)
    return f"| {' | '.join(cells)} |"


def _causes(check: Mapping[str, Any]) -> list[str]:
    """Return the headline of a check, and the causes that are not in it."""
    headline = check["headline"]
    return [headline, *(cause for cause in check["causes"] if cause not in headline)]


def _code(name: str) -> str:
    """Return a name as code in the cell of a table."""
    fence = "``" if "`" in name else "`"
    return f"{fence}{' '.join(name.split()).replace('|', chr(92) + '|')}{fence}"


def _escaped(text: str) -> str:
    """Escape text of users: no HTML, no table cells, no line breaks, no emphasis."""
    plain = " ".join(text.split())
    for mark, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        plain = plain.replace(mark, entity)
    return re.sub(r"[\\|`*]|](?=\()|(?<!\w)_|_(?!\w)", r"\\\g<0>", plain)
