"""The snippets of the page "With your framework" are run, each where its framework is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
SNIPPETS = re.findall(r"```python\n(.*?)```\n", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda text: text.split("\n", 1)[0])
def test_snippet_runs(pytester: pytest.Pytester, snippet: str) -> None:
    imported = re.match(r"(?:import|from) (\w+)", snippet)
    assert imported is not None
    pytest.importorskip(imported[1])
    pytester.makepyfile(snippet)
    result = pytester.runpytest("-p", "no:cacheprovider", "-W", "ignore", "--gradcheck-min=1")
    assert result.ret == pytest.ExitCode.OK
