"""What the README says is what happens: its report, its table, its links; and it stays short.

``python tests/test_readme.py`` runs the failing test that the README shows, and writes the report
below it anew. Its snippets run with those of the pages, in ``test_docs_pages.py``.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from documents import comparable, outputs_anew, run_as_test

from pytest_gradcheck import network

LOADED = (hypothesis, np, network)
"""pytester forgets what its runs import, and NumPy can be imported only once in a process."""

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
BRANCH = "https://github.com/pytest-gradcheck/pytest-gradcheck/blob/main/"
SCREENS = 140
"""Lines of the README: two screens, and the addresses at its end."""


def table(head: str) -> list[list[str]]:
    """Return the cells of the rows of a table of the README."""
    lines = TEXT.split(f"| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_report_is_what_the_test_above_it_shows(tmp_path: Path) -> None:
    assert "GradientError: b is 8.000 x the numerical gradient" in TEXT
    assert comparable(TEXT) == comparable(outputs_anew(TEXT, tmp_path)), (
        "run `python tests/test_readme.py` to write the report anew, and look at the difference"
    )


@pytest.mark.parametrize("row", table("you have | you write"), ids=lambda row: row[1])
def test_shape_is_taken_as_its_row_says(pytester: pytest.Pytester, row: list[str]) -> None:
    run_as_test(pytester, row[1].strip("`"))


def test_links_lead_to_files_and_hold_on_a_package_index() -> None:
    assert re.findall(r"\]\(", TEXT) == []  # links are by name, with their addresses at the end
    links = dict(re.findall(r"^\[([a-z0-9-]+)\]: (\S+)$", TEXT, re.MULTILINE))
    assert set(re.findall(r"\]\[([a-z0-9-]+)\]", TEXT)) == set(links)
    assert [link for link in links.values() if not link.startswith("https://")] == []
    here = [link.removeprefix(BRANCH) for link in links.values() if link.startswith(BRANCH)]
    assert "CONTRIBUTING.md" in here
    assert [link for link in here if not (ROOT / link).exists()] == []


def test_a_newcomer_reads_it_on_two_screens() -> None:
    assert len(TEXT.splitlines()) <= SCREENS


def test_every_room_has_its_place_in_the_house() -> None:
    plan = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    entries = (ROOT / "pytest_gradcheck").glob("[!_.]*")
    rooms = [f"`{e.name}{'/' * e.is_dir()}`" for e in entries if e.suffix in ("", ".py")]
    assert [room for room in rooms if room not in plan] == []


def main() -> None:
    """Write the report of the README anew."""
    with tempfile.TemporaryDirectory() as folder:
        README.write_text(outputs_anew(TEXT, Path(folder)), encoding="utf-8")


if __name__ == "__main__":
    main()
