"""The pages of the documentation: their code runs, and none is left out of the site."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import run_pytest

DOCS = Path(__file__).parents[1] / "docs"
RUNS = re.compile(r"<!-- runs -->\n```python\n(.*?)```", re.DOTALL)

PAGES = sorted(path.name for path in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", [p for p in PAGES if RUNS.search((DOCS / p).read_text("utf-8"))])
def test_code_that_is_said_to_run_does(page: str, tmp_path: Path) -> None:
    (block,) = RUNS.findall((DOCS / page).read_text(encoding="utf-8"))
    (tmp_path / "test_page.py").write_text(block, encoding="utf-8")
    result = run_pytest(tmp_path, "--gradcheck-min=1")
    assert result.returncode == 0, result.stdout


def test_every_page_is_in_the_site() -> None:
    plan = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in PAGES if page not in plan] == []


def test_breaking_the_first_check_is_told_as_the_page_says(tmp_path: Path) -> None:
    (block,) = RUNS.findall((DOCS / "first-check.md").read_text(encoding="utf-8"))
    assert block.count(" / y.size") == 1
    broken = block.replace(" / y.size", "")
    (tmp_path / "test_page.py").write_text(broken, encoding="utf-8")
    lines = run_pytest(tmp_path).stdout.splitlines()
    text = " ".join(" ".join(line.removeprefix("E ") for line in lines).split())
    assert "w, b are 20.000 x the numerical" in text
    assert "a mean (1/m) is missing" in text
