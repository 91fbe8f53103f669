"""What the README says is what happens: its report, its snippets, its tables, its options.

``python tests/test_readme.py`` runs the failing test that the README shows, and writes the report
below it anew.
"""

from __future__ import annotations

import dataclasses
import re
import tempfile
import textwrap
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from documents import comparable, run_pytest

from pytest_gradcheck import Settings, network

LOADED = (hypothesis, np, network)
"""pytester forgets what its runs import, and NumPy can be imported only once in a process."""

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")
BRANCH = "https://github.com/pytest-gradcheck/pytest-gradcheck/blob/main/"

FAILING = re.compile(r"<!-- failing test -->\n```python\n(.*?)```\n", re.DOTALL)
REPORT = re.compile(r"(?<=<!-- report -->\n```\n)(.*?)(?=```\n)", re.DOTALL)
SNIPPETS = re.findall(r"(?<!<!-- failing test -->\n)```python\n(.*?)```\n", TEXT, re.DOTALL)


INI = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"


def shown(pattern: re.Pattern[str]) -> str:
    """Return the one text of the README that a pattern finds."""
    (found,) = pattern.findall(TEXT)
    return str(found)


def table(head: str) -> list[list[str]]:
    """Return the cells of the rows of a table of the README."""
    lines = TEXT.split(f"| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def report_of(source: str, folder: Path) -> str:
    """Run a failing test in 80 columns, and return what pytest shows from its last line on."""
    (folder / "test_softmax.py").write_text(source, encoding="utf-8")
    run = run_pytest(folder, "test_softmax.py")
    assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout + run.stderr
    lines = [line.rstrip() for line in run.stdout.splitlines()]
    first = next(i for i, line in enumerate(lines) if line.startswith(">"))
    last = next(i for i, line in enumerate(lines) if line.startswith("test_softmax.py:"))
    return "\n".join(lines[first : last + 1]) + "\n"


def test_report_is_what_the_test_above_it_shows(tmp_path: Path) -> None:
    assert comparable(shown(REPORT)) == comparable(report_of(shown(FAILING), tmp_path)), (
        "run `python tests/test_readme.py` to write the report anew, and look at the difference"
    )


def run_as_test(pytester: pytest.Pytester, source: str) -> None:
    """Run a snippet as a test file, with the names it uses, and ask for a check in it."""
    if "def test_" not in source:
        source = f"def test_snippet(gradcheck):\n{textwrap.indent(source, '    ')}"
    pytester.syspathinsert(Path(__file__).parent)
    pytester.makepyfile(test_snippet=f"import numpy as np\nfrom readme_names import *\n\n{source}")
    pytester.makeini(INI)
    result = pytester.runpytest("-p", "no:cacheprovider", "--gradcheck-min=1", "-Werror")
    assert result.ret == pytest.ExitCode.OK
    assert set(result.parseoutcomes()) == {"passed"}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippet_runs(pytester: pytest.Pytester, snippet: str) -> None:
    run_as_test(pytester, snippet)


@pytest.mark.parametrize("row", table("you have | you write"), ids=lambda row: row[1])
def test_shape_is_taken_as_its_row_says(pytester: pytest.Pytester, row: list[str]) -> None:
    run_as_test(pytester, row[1].strip("`"))


def test_settings_have_the_names_and_defaults_of_their_table() -> None:
    written = {row[0].strip("`"): row[1].strip("`") for row in table("setting | default | meaning")}
    defaults = {field.name: field.default for field in dataclasses.fields(Settings)}
    assert written == {n: repr(d).replace("'", '"') for n, d in defaults.items()}


def test_settings_in_code_only_are_those_below_inplace() -> None:
    names = [row[0].strip("`") for row in table("setting | default | meaning")]
    code_only = [f.name for f in dataclasses.fields(Settings) if f.metadata["kind"] == "code"]
    assert names[names.index("inplace") :] == code_only


def test_error_codes_are_those_of_the_package() -> None:
    raised = set()
    for module in (ROOT / "pytest_gradcheck").rglob("*.py"):
        source = module.read_text(encoding="utf-8")
        raised |= set(re.findall(r'\b(?:ProblemError|refuse)\(\s*"([a-z-]+)"', source))
    assert raised == {row[0].strip("`") for row in table("code | what to do")}


def test_options_of_the_command_line_exist(pytester: pytest.Pytester) -> None:
    pytester.makeini(INI)
    named = set(re.findall(r"--gradcheck-[a-z-]+", TEXT))
    known = set(re.findall(r"--gradcheck-[a-z-]+", pytester.runpytest("--help").stdout.str()))
    assert "--gradcheck-min" in named
    assert named <= known


def test_links_lead_to_files_and_hold_on_a_package_index() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", TEXT)
    assert [link for link in links if not link.startswith("https://")] == []
    here = [link.removeprefix(BRANCH) for link in links if link.startswith(BRANCH)]
    assert "CONTRIBUTING.md" in here
    assert [link for link in here if not (ROOT / link).exists()] == []


def test_every_room_has_its_place_in_the_house() -> None:
    plan = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    entries = (ROOT / "pytest_gradcheck").glob("[!_.]*")
    rooms = [f"`{e.name}{'/' * e.is_dir()}`" for e in entries if e.suffix in ("", ".py")]
    assert [room for room in rooms if room not in plan] == []


def main() -> None:
    """Write the report of the README anew."""
    with tempfile.TemporaryDirectory() as folder:
        report = report_of(shown(FAILING), Path(folder))
    README.write_text(REPORT.sub(lambda _: report, TEXT, count=1), encoding="utf-8")


if __name__ == "__main__":
    main()
