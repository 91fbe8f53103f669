"""The parts of pages that are made from the sources: shapes, settings, options, the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pytest_gradcheck.plugin.options import declare, flag, ini_key
from pytest_gradcheck.settings import Declaration, declarations

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "benchmarks" / "runs"
SCHEMA = ROOT / "pytest_gradcheck" / "report" / "report.schema.json"

PART = re.compile(
    r"(?P<head><!-- made: (?P<name>[a-z_ -]+) -->\n).*?(?P<foot><!-- end of (?P=name) -->)",
    re.DOTALL,
)

VALUES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "`True` or `False`",
    "names": "a name or a glob pattern, or a list of them",
}
"""What a setting of each kind takes."""

METAVARS = {"int": "N", "names": "NAME", "choice": "WORD"}
"""What stands for the value of an option of each kind."""

TYPES = {
    "object": "object",
    "array": "list",
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "null": "null",
}
"""How the page of the schema calls JSON's types."""


def shapes() -> str:
    """Return the README's table of what one has, and what one writes."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return "| you have |" + text.split("| you have |", 1)[1].split("\n\n", 1)[0] + "\n"


def failing_report() -> str:
    """Return the README's test that fails, and its report."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    start = text.index("<!-- file: test_softmax.py -->")
    return text[start : text.index("## What you have")].strip("\n") + "\n"


def settings() -> str:
    """Return an entry for each setting, from its declaration."""
    return "\n".join(_entry(one) for one in declarations())


def _entry(one: Declaration) -> str:
    told = re.sub(r" \(default: [^()]*\)$", "", one.help)
    default = f"`{one.default!r}`".replace("'", '"')
    rest = re.search(r" \(default: ([^()]*)\)$", one.help)
    if rest and default in ("`None`", "`()`"):
        default += f" ({rest[1]})"
    values = ", ".join(f'`"{choice}"`' for choice in one.choices) or VALUES.get(one.kind, "")
    parts = [f"Default: {default}."]
    if one.kind == "code":
        parts.append("Set in code only.")
    else:
        parts += [
            f"Takes {values}.",
            f"`{_option(one)}`, or in the ini file `{ini_key(one.name)}`.",
        ]
    return f"### `{one.name}`\n\n{_sentence(told)}\n\n{' '.join(parts)}\n"


def _sentence(text: str) -> str:
    text = text[0].upper() + text[1:] if not text.startswith(("full:", "'")) else text
    return f"{text}."


def _option(one: Declaration) -> str:
    name = flag(one.name)
    if one.kind == "bool":
        return name.replace("--", "--no-", 1) if one.default else name
    return f"{name} {METAVARS.get(one.kind, 'X')}"


class _Options:
    """Takes note of the options that the plugin declares beside its settings."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str]] = []
        self._settings = {flag(one.name) for one in declarations()}

    def getgroup(self, *_: str) -> _Options:
        return self

    def addini(self, *_: object, **__: object) -> None:
        """Pass: what stands in ini files are settings."""

    def addoption(self, name: str, **how: Any) -> None:
        if name not in self._settings:
            self.rows.append((f"{name} {how.get('metavar', '')}".strip(), how["help"]))


def options() -> str:
    """Return the table of the options that are no settings."""
    noted = _Options()
    declare(noted)  # type: ignore[arg-type]
    rows = "".join(f"| `{name}` | {said} |\n" for name, said in noted.rows)
    return f"| option | what it does |\n|---|---|\n{rows}"


def schema() -> str:
    """Return a table for each object of a report as JSON."""
    whole = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = {"run": {"description": f"{whole['title']}.", **whole}, **whole["$defs"]}
    return "\n".join(_object(name, part) for name, part in parts.items())


def _object(name: str, part: Mapping[str, Any]) -> str:
    title = f"### {name}\n\n{part['description']}"
    if "properties" not in part:
        return f"{title} {_type(part)}.\n"
    rows = "".join(
        f"| `{field}`{'' if field in part['required'] else ', where there is one'} "
        f"| {_type(told)} | {told['description']} |\n"
        for field, told in part["properties"].items()
    )
    return f"{title}\n\n| field | type | what it holds |\n|---|---|---|\n{rows}"


def _type(told: Mapping[str, Any]) -> str:
    """Return a type in words, with a link where it has an entry of its own."""
    if "$ref" in told:
        name = told["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name})"
    if "const" in told:
        return f"`{json.dumps(told['const'])}`"
    if "enum" in told:
        return ", ".join(f"`{json.dumps(value)}`" for value in told["enum"])
    if "anyOf" in told:
        return " or ".join(_type(one) for one in told["anyOf"])
    kinds = [told["type"]] if isinstance(told["type"], str) else told["type"]
    words = " or ".join(TYPES[kind] for kind in kinds)
    inner = told.get("items") or told.get("additionalProperties")
    return f"{words} of {_type(inner)}" if inner else words


def kept_run(path: Path) -> str:
    """Return what a kept run of a benchmark printed, with where and when that was."""
    head, printed = path.read_text(encoding="utf-8").split("\n\n", 1)
    told = dict(line.split(": ", 1) for line in head.splitlines())
    where = f"{told['machine']}; {told['versions']}; commit {told['commit']}"
    said = f"Run of {told['date']} with `{told['command']}`, on {where}."
    return (
        f'{said}\n\n<details markdown="1">\n<summary>All that it printed</summary>\n\n'
        f"```text\n{printed.rstrip()}\n```\n\n</details>\n"
    )


MADE: dict[str, Callable[[], str]] = {
    "shapes": shapes,
    "failing report": failing_report,
    "settings": settings,
    "options": options,
    "schema": schema,
    **{f"run of {path.stem}": partial(kept_run, path) for path in sorted(RUNS.glob("*.txt"))},
}
"""What stands between the marks of each name."""


def made_anew(text: str) -> str:
    """Return a page whose parts are those that the sources make."""

    def anew(match: re.Match[str]) -> str:
        return f"{match['head']}\n{MADE[match['name']]()}\n{match['foot']}"

    return PART.sub(anew, text)
