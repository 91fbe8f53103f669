"""The options of the plugin: declared, read from command line and ini file, validated."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.settings import PAIR_NAMES, Source, declarations, resolve

__all__ = ["Sources", "declare", "flag", "ini_key", "needs_session", "signature", "sources"]

Sources = tuple[tuple[str, dict[str, Any]], ...]
"""The settings of the run as ``(origin, values)``, the weaker first."""

INI, LINE = "ini file", "command line"
INI_TYPES: dict[str, Any] = {"float": "float", "int": "int", "bool": "bool", "names": "args"}
OPTIONS = tuple(one for one in declarations() if one.kind != "code")
REPORTS = (".json", ".html", ".htm", ".md", "")
"""Suffixes of report files, in any case; Markdown is appended to a path without one."""

PAGES = (".html", ".htm")


def declare(parser: pytest.Parser) -> None:
    """Declare every option; unset ones are None, so that they fall back to the ini file."""
    group = parser.getgroup("gradcheck", "gradient checking")
    kinds: dict[str, Callable[[str], Any]] = {"float": float, "int": int}
    for name, default, kind, text, choices in OPTIONS:
        how: dict[str, Any] = {"dest": ini_key(name), "default": None, "help": text}
        if kind == "bool":
            how["action"] = argparse.BooleanOptionalAction if default else "store_true"
        elif kind == "names":
            how |= {"action": "append", "metavar": "NAME"}
        elif kind == "choice":
            how |= {"choices": choices}
        else:
            how |= {"type": kinds[kind], "metavar": "N" if kind == "int" else "X"}
        group.addoption(flag(name), **how)
        parser.addini(ini_key(name), text, type=INI_TYPES.get(kind), default=None)
    group.addoption(
        "--gradcheck-canary",
        action="store_true",
        help="plant faults in every analytic gradient and fail the checks that let one pass",
    )
    group.addoption(
        "--gradcheck-report",
        action="append",
        metavar="PATH",
        help="write every check to PATH, a .json, .html or .md file; Markdown is appended where "
        "PATH has no suffix, or is the file of $GITHUB_STEP_SUMMARY (may be given again)",
    )
    group.addoption(
        "--gradcheck-compare",
        metavar="OLD.json",
        help="tell what got worse since an earlier --gradcheck-report, or the last in a folder; "
        "a failure under --gradcheck-strict",
    )
    group.addoption(
        "--gradcheck-durations",
        type=int,
        metavar="N",
        help="show the N slowest checks, with their calls and the time of one (0: all)",
    )
    group.addoption(
        "--gradcheck-min",
        type=int,
        metavar="N",
        help="fail the run when fewer than N tests completed a check",
    )
    group.addoption(
        "--gradcheck-off", action="store_true", help="skip tests at their first gradcheck"
    )


def signature() -> str:
    """Return the signature of the marker, for ``pytest --markers``."""
    pair = [f"{name}=None" for name in PAIR_NAMES]
    others = [f"{name}={default!r}" for name, default, *_ in declarations()]
    return ", ".join([*pair, *others])


def needs_session(config: pytest.Config) -> bool:
    """Return whether the run needs its session from the start, as where workers make the checks.

    Raises
    ------
    pytest.UsageError
        Where a gate or a report is impossible.
    """
    given = config.option
    asked = (given.gradcheck_min, given.gradcheck_report, given.gradcheck_compare)
    if any(option is not None for option in asked):
        _refuse_impossible(config)
        return True
    return getattr(given, "dist", "no") != "no"


def sources(config: pytest.Config) -> Sources:
    """Return the settings of ini file and command line; refuse wrong ones by name."""
    from_ini: dict[str, Any] = {}
    from_line: dict[str, Any] = {}
    for name, *_ in OPTIONS:
        key = ini_key(name)
        try:
            value = config.getini(key)
        except (ValueError, TypeError, pytest.UsageError) as error:
            raise pytest.UsageError(f"ini option {key}: {error}") from error
        if value is not None and value != []:
            from_ini[name] = value
        if config.getoption(key) is not None:
            from_line[name] = config.getoption(key)
    if from_ini or from_line:
        _refuse_wrong((INI, from_ini), (LINE, from_line))
    return (INI, from_ini), (LINE, from_line)


def draws(config: pytest.Config) -> bool:
    """Return whether an HTML page is requested, which has pictures."""
    paths = config.option.gradcheck_report or ()
    return any(Path(path).suffix.lower() in PAGES for path in paths)


def header(config: pytest.Config) -> str | None:
    """Return the settings of a run in one line, or None if all are defaults."""
    said = {name: value for _, given in sources(config) for name, value in given.items()}
    words = [name if value is True else f"{name}={value}" for name, value in said.items()]
    given = config.option
    words += [word for word in ("canary", "off") if getattr(given, f"gradcheck_{word}")]
    if given.gradcheck_min is not None:
        words.append(f"min={given.gradcheck_min}")
    return f"gradcheck: {', '.join(words)}" if words else None


def flag(name: str) -> str:
    """Return the command-line flag of a setting."""
    return f"--gradcheck-{name.replace('_', '-')}"


def ini_key(name: str) -> str:
    """Return the ini key of a setting."""
    return f"gradcheck_{name}"


def _refuse_impossible(config: pytest.Config) -> None:
    """Refuse an impossible gate or report before any test runs."""
    least = config.option.gradcheck_min
    if least is not None and least < 0:
        raise pytest.UsageError(f"--gradcheck-min {least}: a number of tests is at least 0")
    if hasattr(config, "workerinput"):
        return  # the controller writes the reports
    for path in config.option.gradcheck_report or ():
        _refuse_report(path)
    compared = config.option.gradcheck_compare
    if compared is not None and not Path(compared).exists():
        raise pytest.UsageError(
            f"--gradcheck-compare {compared}: no such file; --gradcheck-report {compared} writes it"
        )


def _refuse_report(path: str) -> None:
    """Refuse a report path that cannot be written to."""
    suffix = Path(path).suffix.lower()
    if suffix not in REPORTS:
        known = ", ".join(form for form in REPORTS if form)
        raise pytest.UsageError(f"--gradcheck-report {path}: the name ends in one of {known}")
    if suffix in PAGES:
        for module in ("jinja2", "matplotlib"):
            if find_spec(module) is None:
                raise pytest.UsageError(
                    f"--gradcheck-report {path}: an HTML report needs {module}: "
                    "pip install 'pytest-gradcheck[html]'"
                )
    hindrance = _hindrance(Path(path))
    if hindrance:
        raise pytest.UsageError(f"--gradcheck-report {path}: it could not be written: {hindrance}")


def _hindrance(path: Path) -> str | None:
    """Return why a file cannot be written, or None; no file is created."""
    if path.is_dir():
        return "it is a folder"
    if path.exists():
        return None if os.access(path, os.W_OK) else "it is read-only"
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not nearest.is_dir():
        return f"{nearest} is no folder"
    return None if os.access(nearest, os.W_OK) else f"{nearest} is read-only"


def _refuse_wrong(ini: Source, line: Source) -> None:
    """Refuse invalid settings of the run, naming the option or the ini key."""
    try:
        resolve([ini, line])
    except ProblemError as error:
        raise pytest.UsageError(f"{_blamed(str(error), ini[1], line[1])}{error}") from error


def _blamed(message: str, from_ini: Mapping[str, object], from_line: Mapping[str, object]) -> str:
    """Return the option that a message is about: a setting that it names and that is set."""
    for name in re.findall(r"\w+", message):
        if name in from_line:
            return f"{flag(name)}: "
        if name in from_ini:
            return f"ini option {ini_key(name)}: "
    return ""
