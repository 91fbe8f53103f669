"""The snippets of pages that use a framework are run, each where its framework is there."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from documents import blocks, of_a_framework

DOCS = Path(__file__).parents[2] / "docs"
SNIPPETS = [
    block.text
    for page in sorted(DOCS.glob("*.md"))
    for block in blocks(page.read_text(encoding="utf-8"))
    if block.language == "python" and of_a_framework(block)
]


def test_every_block_of_the_page_on_frameworks_uses_one() -> None:
    page = (DOCS / "frameworks.md").read_text(encoding="utf-8")
    assert [b.text for b in blocks(page) if b.language == "python" and b.text not in SNIPPETS] == []
    assert len(SNIPPETS) >= 6


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split("\n", 1)[0])
def test_snippet_runs(pytester: pytest.Pytester, snippet: str) -> None:
    imported = re.match(r"(?:import|from) (\w+)", snippet)
    assert imported is not None
    if find_spec(imported[1]) is None:
        pytest.skip(f"{imported[1]} is not there")
    pytester.makepyfile(snippet)
    # In a process of its own: PyTorch cannot be imported twice in one.
    asked = ("-p", "no:cacheprovider", "-W", "ignore", "--gradcheck-min=1")
    result = pytester.runpytest_subprocess(*asked)
    assert result.ret == pytest.ExitCode.OK
