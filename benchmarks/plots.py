"""The pictures of the pages: the rooms, and plots of the kept runs of `record`.

Usage: ``python benchmarks/plots.py``; it writes docs/*.svg.
"""

from __future__ import annotations

import re
from pathlib import Path

from drawing import stack

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

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


PICTURES = {"rooms.svg": rooms}


def main() -> None:
    """Draw all of them."""
    for name, drawn in PICTURES.items():
        (DOCS / name).write_text(drawn(), encoding="utf-8")


if __name__ == "__main__":
    main()
