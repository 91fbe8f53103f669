"""The page on Jacobians and Hessians: its code runs, and its codes are made."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "jacobians.md").read_text(encoding="utf-8")


def test_the_code_of_the_page_runs() -> None:
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, names)
    names["test_jacobian"]()


def test_the_codes_of_the_page_are_made() -> None:
    modules = (ROOT / "pytest_gradcheck").rglob("*.py")
    source = "\n".join(module.read_text(encoding="utf-8") for module in modules)
    rows = re.findall(r"^\| (`[a-z, `-]+`) \| ", TEXT, re.MULTILINE)
    codes = [code for row in rows for code in re.findall(r"`([a-z-]+)`", row)]
    assert "gauss-newton" in codes
    assert [code for code in codes if f'"{code}"' not in source] == []
