"""The pictures of the pages: the rooms, and plots of the kept runs of `record`.

Usage: ``python benchmarks/plots.py``; it writes docs/*.svg.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from drawing import bars, lines, stack

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RUNS = ROOT / "benchmarks" / "runs"

SUBJECTS = {
    "plugin": "pytest's side: options, markers, session, gate",
    "api": "gradcheck and check_gradients: the pipeline of a check",
    "jacobians": "the same for Jacobians, Hessians and pushforwards",
    "diagnosis": "a pattern of errors becomes findings",
    "verdict": "two gradients become one verdict for each component",
    "numdiff": "cost(theta) becomes derivatives with error bars",
    "problem": "the user's functions become cost(theta) and gradient(theta)",
    "report": "the result as plain types, its text and its files",
    "params": "params and theta, names, tensors of frameworks",
    "context": "what surrounds a check",
    "settings": "what can be set, and which value wins",
    "progress": "how far a check has come",
    "errors": "what a check raises",
}
"""What each room is about, in the words of its picture."""

OURS = "pytest-gradcheck"
FLOAT64 = ("tanh net", "ReLU net", "sines", "twelve decades")
"""Costs of `wrong` that nothing but float64 limits."""

FAULTS = {
    "right": "nothing",
    "scale": "a factor of 8",
    "sign": "the sign",
    "mask": "a mask that was forgotten",
    "upstream": "the upstream gradient",
    "1e-4": "1e-4 everywhere",
    "half": "a factor of 2 in half of them",
}
"""Faults of `wrong`, and how the plot calls them."""

Table = dict[str, list[float]]


def rooms() -> str:
    """Return the picture of the rooms, in the order of the contract that holds the code to it."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^layers = \[\n(.*?)^\]", project, re.DOTALL | re.MULTILINE)
    names = re.findall(r'"(\w+)"', listed)
    package = ROOT / "pytest_gradcheck"
    called = {name: f"{name}/" if (package / name).is_dir() else f"{name}.py" for name in names}
    rows = [(called[name], SUBJECTS[name]) for name in names]
    title = "The rooms of the package: each may import those below it"
    return stack(title, rows, ("network/", "the reference network, which no room imports"))


def run(name: str) -> str:
    """Return what a kept run printed."""
    return (RUNS / f"{name}.txt").read_text(encoding="utf-8").split("\n\n", 1)[1]


def shares(printed: str, head: str) -> tuple[list[str], Table]:
    """Return the columns and the rows of a table of percentages that begins with a head."""
    first, *rows = printed[printed.index(head) :].split("\n\n", 1)[0].splitlines()
    table: Table = {}
    for row in rows:
        found = re.fullmatch(r"(.{26})((?: +(?:[\d.]+%|-))+)", row)
        if found and not row.startswith((" ", "(")):
            cells = [math.nan if c == "-" else float(c[:-1]) for c in found[2].split()]
            table[_called(found[1])] = cells
    return re.split(r" {2,}", first[len(head) :].strip()), table


def _called(rule: str) -> str:
    return re.sub("^ours", OURS, rule.strip())


def wrong_gradients() -> str:
    """Return the plot of what a full check of a wrong gradient costs."""
    printed = run("wrong")
    size = max(re.findall(r"^about ([\d,]+) components", printed, re.MULTILINE), key=_number)
    table = printed.split(f"about {size} components")[1].split("\n\n")[0].splitlines()
    faults = table[1].split()
    rows = {row[:16].strip(): re.findall(r"([\d.]+) \(", row) for row in table[2:]}
    values = {
        FAULTS[fault]: max(float(rows[cost][k]) for cost in FLOAT64)
        for k, fault in enumerate(faults)
    }
    unit = f"calls of the cost over 2 n, n = {size}: the most of {len(FLOAT64)} costs in float64"
    return bars("What a full check of a wrong gradient costs", unit, values, list(values))


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def size() -> str:
    """Return the plot of the calls that checks of large gradients take."""
    printed = run("scale")
    found = re.findall(r"^ *(\d+) arrays, (\d+) decades: (.*)$", printed, re.MULTILINE)
    (row,) = (row for arrays, decades, row in found if (arrays, decades) == ("150", "6"))
    (many,) = re.findall(r"^([\d,]+) components, \d+ seeds", printed, re.MULTILINE)
    cells = [re.fullmatch(r"(.*) (\d+)", cell) for cell in row.split(", ")]
    values = {cell[1]: float(cell[2]) for cell in cells if cell}
    named = {"passing": "nothing wrong", "probe": "nothing wrong, mode probe"}
    values = {named.get(name, name): calls for name, calls in values.items()}
    unit = f"calls of the cost; {many} components in 150 arrays"
    return bars("What checks of large gradients cost", unit, values, list(values))


def false_alarms() -> str:
    """Return the plot of how often correct networks are called wrong."""
    printed = run("false_alarms")
    head = "share of seeds flagged"
    _, first, second = printed.split(head)
    (_, at_one), (_, small) = shares(head + first, head), shares(head + second, head)
    values = {rule: max([*at_one[rule], *small[rule]]) for rule in at_one}
    unit = "per cent of correct networks called wrong, in the worst of twelve kinds"
    return bars("False alarms", unit, values, [OURS])


def misses() -> str:
    """Return the plot of the share of faults that is caught, over their size."""
    ticks, table = shares(run("detection"), "wrong by")
    asked = {name: row for name, row in table.items() if not all(map(math.isnan, row))}
    return lines("Share of faults caught, by their relative size", ticks, asked, [OURS])


def elsewhere(column: int, unit: str) -> str:
    """Return a plot of one kind of mistakes about gradients of other libraries."""
    pattern = r"^(\S.{25}) +(\d+) of (\d+) +(\d+) of (\d+) *$"
    rows = re.findall(pattern, run("accuracy"), re.MULTILINE)
    values = {
        _called(name): round(100 * int(counts[column]) / int(counts[column + 1]), 1)
        for name, *counts in rows
    }
    ours = [name for name in values if name.startswith(OURS)]
    return bars("Mistakes about gradients of other libraries", unit, values, ours)


PLOTS: dict[str, tuple[str, Callable[[], str]]] = {
    "plot-wrong.svg": ("wrong", wrong_gradients),
    "plot-size.svg": ("scale", size),
    "plot-false-alarms.svg": ("false_alarms", false_alarms),
    "plot-misses.svg": ("detection", misses),
    "plot-elsewhere-alarms.svg": (
        "accuracy",
        partial(elsewhere, 0, "per cent of right gradients called wrong"),
    ),
    "plot-elsewhere-misses.svg": (
        "accuracy",
        partial(elsewhere, 2, "per cent of wrong gradients accepted"),
    ),
}
"""Plots, the run that each is drawn from, and how."""

PICTURES = {
    "rooms.svg": rooms,
    **{name: drawn for name, (of, drawn) in PLOTS.items() if (RUNS / f"{of}.txt").exists()},
}
"""Every picture that is drawn here."""


def main() -> None:
    """Draw all of them."""
    for name, drawn in PICTURES.items():
        (DOCS / name).write_text(drawn(), encoding="utf-8")


if __name__ == "__main__":
    main()
