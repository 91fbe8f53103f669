"""The page on findings: an entry for each code, and examples that have their finding."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.diagnosis import CAUSES, WARNINGS

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")

ENTRIES = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^##? |\Z)", TEXT, re.DOTALL | re.MULTILINE))
NETWORK, LAYER = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
OTHERS = ["unnamed", "canary"]
"""What random directions and planted faults show needs a setting, and has no example."""


def changed(code: str) -> str:
    """Return the source of the page with the changed line of an entry, which must be there once."""
    (diff,) = re.findall(r"```diff\n(.*?)```", ENTRIES[code], re.DOTALL)
    before = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith("-"))
    after = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith("+"))
    source = NETWORK + LAYER
    assert source.count(after) == 1
    return str(source.replace(after, before))


def checked(source: str, layer: bool) -> Report:
    names: dict[str, Any] = {}
    exec(source.replace("dW1[:-1] =", "dW1 = 0 * p['W1']; dW1[:-1] ="), names)
    if layer:
        return check_gradients.layer(names["forward"], names["backward"], names["x"])
    pair = names["cost"], names["grad"], names["params"]
    return check_gradients(*pair, data={"lambd": names["lambd"]})


@pytest.mark.parametrize("layer", [False, True])
def test_the_pairs_of_the_page_are_right(layer: bool) -> None:
    report = checked(NETWORK + LAYER, layer)
    assert (report.verdict, report.findings) == ("ok", ())


@pytest.mark.parametrize("code", [*CAUSES, *WARNINGS])
def test_an_example_has_its_finding(code: str) -> None:
    report = checked(changed(code), layer=code == "mask")
    assert report.findings[0].code == code
    assert report.findings[0].severity == ("cause" if code in CAUSES else "warning")
    assert report.passed == (code in WARNINGS)


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    assert list(ENTRIES) == [*CAUSES, *WARNINGS, *OTHERS]
    assert re.findall(r"\| \[`([a-z-]+)`\]\(#\1\) \|", TEXT) == list(ENTRIES)


def test_every_code_that_is_made_is_known() -> None:
    """Looked for in the sources: a code that no list has would have no entry either."""
    package = ROOT / "pytest_gradcheck"
    modules = [*package.glob("diagnosis/*.py"), package / "verdict" / "canary.py"]
    source = "\n".join(module.read_text(encoding="utf-8") for module in modules)
    made = set(re.findall(r'\b(?:Finding|Cause)\(\s*"([a-z-]+)"', source))
    made |= set(re.findall(r'_cause\(\s*part,\s*"([a-z-]+)"', source))
    made |= set(re.findall(r'"([a-z]+-regularization)"', source))
    assert made <= {*CAUSES, *WARNINGS, *OTHERS}
    assert {"scale", "transposed", "kink", "dominated", "canary", "stale"} <= made
