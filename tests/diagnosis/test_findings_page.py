"""The page on findings: an entry for each code, and examples that have their finding.

``python tests/diagnosis/test_findings_page.py`` writes its table anew from the rules.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.diagnosis import CAUSES, WARNINGS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "findings.md"
TEXT = PAGE.read_text(encoding="utf-8")

ENTRIES = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^##? |\Z)", TEXT, re.DOTALL | re.MULTILINE))
NETWORK, COMPLEX, NORM, LAYER, EMBEDDING = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
OTHERS = {
    "unnamed": "more is wrong than could be named",
    "canary": "a planted fault went unnoticed",
    "ignores-upstream": "a backward pass makes the same of twice the upstream gradient",
    "nonlinear-upstream": "a backward pass is not linear in the upstream gradient",
    "memory-order": "a backward pass is right for a contiguous upstream gradient only",
    "primal": "an output where it is differentiated is not the function's own",
    "output": "one of several outputs is wrong",
    "line": "the line of the backward pass at which the error enters",
}
"""What random directions, planted faults and upstream gradients show has no example here."""


SOURCE = NETWORK + COMPLEX + NORM + LAYER + EMBEDDING
TABLE = re.compile(r"(?<=\| code \| in a word \|\n\|---\|---\|\n).*?\n(?=\n)", re.DOTALL)
LAYERS = {
    "mask": ("forward", "backward", "x"),
    "accumulated": ("embed", "embed_backward", "E"),
    "normalization": ("normalize", "normalize_backward", "samples"),
}


def table() -> str:
    """Return the rows of the table of findings, from the rules."""
    every = {**CAUSES, **WARNINGS, **OTHERS}
    return "".join(f"| [`{code}`](#{code}) | {said} |\n" for code, said in every.items())


def changed(code: str) -> str:
    """Return the source of the page with the changed line of an entry, which must be there once."""
    (diff,) = re.findall(r"```diff\n(.*?)```", ENTRIES[code], re.DOTALL)
    before = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith("-"))
    after = "".join(f"{line[1:]}\n" for line in diff.splitlines() if line.startswith("+"))
    assert SOURCE.count(after) == 1
    return str(SOURCE.replace(after, before))


def checked(source: str, code: str = "") -> Report:
    names: dict[str, Any] = {}
    exec(source.replace("dW1[:-1] =", "dW1 = 0 * p['W1']; dW1[:-1] ="), names)
    if code in LAYERS:
        return check_gradients.layer(*(names[name] for name in LAYERS[code]))
    if code == "conjugated":
        return check_gradients(names["power"], names["power_grad"], names["z"])
    pair = names["cost"], names["grad"], names["params"]
    return check_gradients(*pair, data={"lambd": names["lambd"]})


@pytest.mark.parametrize("code", ["", "conjugated", *LAYERS])
def test_the_pairs_of_the_page_are_right(code: str) -> None:
    report = checked(SOURCE, code)
    assert (report.verdict, report.findings) == ("ok", ())


@pytest.mark.parametrize("code", [*CAUSES, *WARNINGS])
def test_an_example_has_its_finding(code: str) -> None:
    report = checked(changed(code), code)
    assert report.findings[0].code == code
    assert report.findings[0].severity == ("cause" if code in CAUSES else "warning")
    assert report.passed == (code in WARNINGS)


def test_every_code_has_an_entry_and_every_entry_a_code() -> None:
    assert list(ENTRIES) == [*CAUSES, *WARNINGS, *OTHERS]
    assert TABLE.findall(TEXT) == [table()]


def test_every_code_that_is_made_is_known() -> None:
    """Looked for in the sources: a code that no list has would have no entry either."""
    package = ROOT / "pytest_gradcheck"
    rooms = ("diagnosis/*.py", "diagnosis/rules/*.py", "verdict/canary.py", "problem/layers/*.py")
    modules = [module for room in rooms for module in package.glob(room)]
    source = "\n".join(module.read_text(encoding="utf-8") for module in modules)
    made = set(re.findall(r'\b(?:Finding\.\w+|Spread|rule)\(\s*"([a-z-]+)"', source))
    made |= set(re.findall(r'\bcode="([a-z-]+)"', source))
    made |= set(re.findall(r'"([a-z]+-regularization)"', source))
    assert made <= {*CAUSES, *WARNINGS, *OTHERS}
    assert {"scale", "transposed", "kink", "dominated", "canary", "stale"} <= made


def main() -> None:
    """Write the table of the page anew."""
    PAGE.write_text(TABLE.sub(lambda _: table(), TEXT, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
