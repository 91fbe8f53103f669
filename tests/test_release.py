"""What is told in several places of a release is the same in all of them."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import pytest_gradcheck

ROOT = Path(__file__).parents[1]

tomllib: Any = pytest.importorskip("tomllib", reason="Python 3.11 has it")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

HOST = re.compile(
    r"https://github\.com/[\w-]+/pytest-gradcheck|https://pytest-gradcheck\.[\w.-]+\w"
)
WRITTEN = (
    *ROOT.glob("*.md"),
    *ROOT.glob("*.yml"),
    *ROOT.glob("docs/*.md"),
    *ROOT.glob(".github/**/*.yml"),
    ROOT / "CITATION.cff",
)


def text(name: str) -> str:
    """Return what stands in a file of the project."""
    return (ROOT / name).read_text(encoding="utf-8")


def stages() -> set[str]:
    """Return the stages that ``.ci/run`` goes through where it is not told which."""
    (named,) = re.findall(r"^  set -- (.*)$", text(".ci/run"), re.MULTILINE)
    return set(named.split())


def test_the_project_has_one_address_and_its_documentation_another() -> None:
    urls = PROJECT["project"]["urls"]
    found = {url for path in WRITTEN for url in HOST.findall(path.read_text(encoding="utf-8"))}
    assert found == {urls["Source"], urls["Documentation"]}


def test_the_version_to_cite_and_the_newest_of_the_changelog_are_the_package_s() -> None:
    version = pytest_gradcheck.__version__
    assert f"\nversion: {version}\n" in text("CITATION.cff")
    assert re.findall(r"^## (.*)$", text("CHANGELOG.md"), re.MULTILINE)[0] == version


def test_the_workflow_goes_through_every_stage() -> None:
    (listed,) = re.findall(
        r"^        stage: \[(.*)\]$", text(".github/workflows/ci.yml"), re.MULTILINE
    )
    assert set(listed.split(", ")) == stages()


@pytest.mark.skipif(sys.platform == "win32", reason="files have no execution bit")
def test_every_stage_is_a_script() -> None:
    assert [name for name in stages() if not os.access(ROOT / ".ci" / name, os.X_OK)] == []


def test_the_workflow_runs_the_versions_that_the_package_says_it_takes() -> None:
    (listed,) = re.findall(
        r"^        python: \[(.*)\]$", text(".github/workflows/ci.yml"), re.MULTILINE
    )
    classifiers = " ".join(PROJECT["project"]["classifiers"])
    taken = re.findall(r"Python :: (3\.\d+)", classifiers)
    assert re.findall(r"[\d.]+", listed) == taken
    assert PROJECT["project"]["requires-python"] == f">={taken[0]}"
