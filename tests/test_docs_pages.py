"""The pages of the documentation: their code runs, and what they show is what happens.

``python tests/test_docs_pages.py [PAGE ...]`` writes their outputs, and what is made from the
sources, anew.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from documents import INI, blocks, comparable, of_a_framework, outputs_anew, run_as_test
from made_pages import MADE, PART, ROOT, made_anew

from pytest_gradcheck import network

LOADED = (hypothesis, np, network)
"""pytester forgets what its runs import, and NumPy can be imported only once in a process."""

pytest_plugins = ["pytester"]

DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
README = (ROOT / "README.md").read_text(encoding="utf-8")
RUN_ELSEWHERE = {
    "guide.md": "test_guide.py",
    "frameworks.md": "frameworks/test_page.py",
    "findings.md": "diagnosis/test_findings_page.py",
    "jacobians.md": "test_jacobians_page.py",
}
"""Pages whose code is that of an example, or goes together in a way of its own, and their tests."""

PLAIN = {"", "text"}
"""Languages of blocks that are outputs."""

PLAIN_KINDS = ("failure", "summary", "printed")

WITH_FILES = [
    name
    for name, text in PAGES.items()
    if any(block.kind == "file" for block in blocks(PART.sub("", text)))
]
"""Pages with files and outputs of their own."""

SNIPPETS = [
    pytest.param(block.text, id=f"{name}-{number}")
    for name, text in {"README.md": README, **PAGES}.items()
    if name not in RUN_ELSEWHERE
    for number, block in enumerate(blocks(text))
    if block.language == "python" and not block.kind and not of_a_framework(block)
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippet_runs(pytester: pytest.Pytester, snippet: str) -> None:
    run_as_test(pytester, snippet)


@pytest.mark.parametrize("name", WITH_FILES)
def test_outputs_are_those_of_the_files_of_the_page(name: str, tmp_path: Path) -> None:
    assert comparable(outputs_anew(PAGES[name], tmp_path)) == comparable(PAGES[name]), (
        f"run `python tests/test_docs_pages.py {name}`, and look at the difference"
    )


@pytest.mark.parametrize("name", WITH_FILES)
def test_every_file_of_tests_has_its_output_on_the_page(name: str) -> None:
    page = blocks(PAGES[name])
    run = " ".join(block.said for block in page if block.kind in PLAIN_KINDS)
    tests = [b.said for b in page if b.kind == "file" and b.said.startswith("test_")]
    everything = any(block.kind in PLAIN_KINDS and ".py" not in block.said for block in page)
    assert everything or [test for test in tests if test not in run] == []


def test_every_block_is_run_or_compared() -> None:
    """A block of code is a file, a snippet or another test's; an output says how it is made."""
    loose = [
        (name, block.text)
        for name, text in {"README.md": README, **PAGES}.items()
        if name not in (*RUN_ELSEWHERE, "lines.md")
        for block in blocks(PART.sub("", text))
        if (block.language in PLAIN and block.kind not in PLAIN_KINDS)
        or (block.language not in (*PLAIN, "python", "sh") and block.kind != "file")
    ]
    assert loose == []
    assert [test for test in RUN_ELSEWHERE.values() if not (ROOT / "tests" / test).exists()] == []


def test_what_is_made_from_the_sources_is_as_they_are_now() -> None:
    parts = [match["name"] for text in PAGES.values() for match in PART.finditer(text)]
    assert sorted(parts) == sorted(MADE)
    assert {name: made_anew(text) for name, text in PAGES.items()} == PAGES, (
        "run `python tests/test_docs_pages.py`, and look at the difference"
    )


def test_every_page_is_in_the_site() -> None:
    plan = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page for page in PAGES if page not in plan] == []


def test_options_of_the_command_line_exist(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    text = README + "".join(PAGES.values())
    named = set(re.findall(r"--(?:no-)?gradcheck-[a-z-]+", text))
    known = re.findall(r"--(?:no-)?gradcheck-[a-z-]+", pytester.runpytest("--help").stdout.str())
    assert "--gradcheck-min" in named
    assert named <= set(known)


def test_error_codes_are_those_of_the_package() -> None:
    raised = set()
    for module in (ROOT / "pytest_gradcheck").rglob("*.py"):
        source = module.read_text(encoding="utf-8")
        raised |= set(re.findall(r'\b(?:ProblemError|refuse)\(\s*"([a-z-]+)"', source))
    assert raised == set(re.findall(r"^\| `([a-z-]+)` \|", PAGES["errors.md"], re.MULTILINE))


def test_scripts_and_examples_that_pages_name_are_there() -> None:
    text = README + "".join(PAGES.values())
    named = set(re.findall(r"\b(?:benchmarks|examples|tests)/[\w/]+\.\w+", text))
    assert "benchmarks/lines.py" in named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_modules_that_pages_name_are_there() -> None:
    package = ROOT / "pytest_gradcheck"
    rooms = "|".join(path.name for path in package.iterdir() if path.is_dir())
    named = set(re.findall(rf"`((?:{rooms})/[\w/]*(?:\.py)?)`", "".join(PAGES.values())))
    assert "numdiff/ladder.py" in named
    assert [name for name in sorted(named) if not (package / name).exists()] == []


def test_the_first_check_is_broken_as_the_page_says() -> None:
    right, broken = (b.text for b in blocks(PAGES["first-check.md"]) if b.kind == "file")
    assert right.count(" / y.size") == 1
    assert right.replace(" / y.size", "") == broken


def main() -> None:
    """Write the pages that are named, or all, anew."""
    for name in sys.argv[1:] or PAGES:
        text = PAGES[name]
        if name in WITH_FILES:
            with tempfile.TemporaryDirectory() as folder:
                text = outputs_anew(text, Path(folder))
        (DOCS / name).write_text(made_anew(text), encoding="utf-8")


if __name__ == "__main__":
    main()
