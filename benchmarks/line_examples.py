"""Write the examples of docs/lines.md: pairs with one line spoiled, and what their checks say."""

from __future__ import annotations

import re
import textwrap
from dataclasses import replace
from pathlib import Path

from mutations import FOLDER, loaded

from pytest_gradcheck.api import check_problem

PAGE = Path(__file__).parents[1] / "docs" / "lines.md"
PART = re.compile(r"(<!-- examples: .*? -->\n).*?(<!-- end of examples -->)", re.DOTALL)

WIDTH = 84
"""Columns of the page."""

EXAMPLES = (
    (
        "A network",
        "course_regularized",
        'dA2 = p["W3"].T @ dZ3',
        'dA2 = p["W3"].T @ (dZ3 * A3)',
    ),
    (
        "Batch normalization",
        "batchnorm_steps",
        "dvar = 0.5 * 1.0 / np.sqrt(var + eps) * dsqrtvar",
        "dvar = 1.0 / np.sqrt(var + eps) * dsqrtvar",
    ),
    (
        "An LSTM",
        "lstm",
        "dc = dc + dh * o * (1 - tanh_c**2)",
        "dc = dc + dh * o * (1 - tanh_c)",
    ),
)
"""Title, module, the line as it is, and the line spoiled."""


def example(title: str, style: str, right: str, wrong: str, number: int) -> str:
    """Return a section: what was changed, and what the check says."""
    source = (FOLDER / f"{style}.py").read_text(encoding="utf-8")
    assert source.count(right) == 1
    problem = loaded(style, source.replace(right, wrong), number).problem()
    problem = replace(problem, settings={**problem.settings, "locate": True})
    report = check_problem(problem, raising=False)
    (finding,) = (one for one in report.findings if one.code == "line")
    message = finding.message.replace(f"{style}-{number}.py", f"{style}.py")
    change = f"```diff\n-    {right}\n+    {wrong}\n```"
    shown = "\n".join(map(wrapped, message.splitlines()))
    return f"## {title}\n\n{change}\n\n```text\n{shown}\n```\n"


def wrapped(line: str) -> str:
    """Return a line of a message as wide as a page is."""
    return textwrap.fill(line, WIDTH, subsequent_indent="    ", break_on_hyphens=False)


def examples() -> str:
    """Return all sections."""
    return "\n".join(example(*each, number) for number, each in enumerate(EXAMPLES))


def page() -> str:
    """Return the page with its examples made anew."""
    return PART.sub(lambda m: f"{m[1]}\n{examples()}\n{m[2]}", PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
