"""Options that cannot be: a gate, a report or a value is refused before any test runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import pytest

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.plugin.options import flag, ini_key
from pytest_gradcheck.settings import Layer, resolve

__all__ = ["refuse_impossible", "refuse_wrong"]

REPORTS = (".json", ".html", ".md")


def refuse_impossible(config: pytest.Config) -> None:
    """Refuse a gate or a report that cannot be, before any test runs."""
    least = config.option.gradcheck_min
    if least is not None and least < 0:
        raise pytest.UsageError(f"--gradcheck-min {least}: a number of tests is at least 0")
    for path in config.option.gradcheck_report or ():
        suffix = Path(path).suffix
        if suffix not in REPORTS:
            raise pytest.UsageError(
                f"--gradcheck-report {path}: the name ends in one of {', '.join(REPORTS)}"
            )
        if suffix == ".html" and find_spec("jinja2") is None:
            raise pytest.UsageError(
                f"--gradcheck-report {path}: an HTML report needs jinja2: "
                "pip install 'pytest-gradcheck[html]'"
            )


def refuse_wrong(ini: Layer, line: Layer) -> None:
    """Refuse settings of the run that are no settings, naming the option or the ini key."""
    try:
        resolve([ini, line])
    except ProblemError as error:
        raise pytest.UsageError(f"{_blamed(str(error), ini[1], line[1])}{error}") from error


def _blamed(message: str, from_ini: Mapping[str, object], from_line: Mapping[str, object]) -> str:
    """Return the option that a message is about: of the settings that it names, one that is set."""
    for name in re.findall(r"\w+", message):
        if name in from_line:
            return f"{flag(name)}: "
        if name in from_ini:
            return f"ini option {ini_key(name)}: "
    return ""
