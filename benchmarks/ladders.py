"""Verdicts of a check beside those of whole ladders, which it takes for a few components only.

Proof in groups, looks inward and outward spare most of the calls of a ladder of steps for every
component that a first difference leaves open. Random problems are checked twice, with them and
without, and every component whose verdict differs is held against the exact gradient: it has to be
closer to it, as where a right component is shown to be right that the ladder leaves undecided.

Usage: ``python benchmarks/ladders.py [--seeds 0:2000]``; exits with 1 where one is further off.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
from random_problems.labels import SAME, Label
from random_problems.problems import Problem, problem
from random_problems.running import FAILING, checked, place_in

from pytest_gradcheck import Report
from pytest_gradcheck.numdiff import refinement
from pytest_gradcheck.numdiff.refinement.outward import Outward

Verdicts = dict[tuple[str, tuple[int, ...]], str]
"""By parameter and place, of the components that are not ok."""


@contextmanager
def ladders_only() -> Iterator[None]:
    """Let every component that a first difference leaves open climb a ladder."""

    def nothing(_: Any, first: refinement.Undecided, __: Any) -> Any:
        return np.full_like(first.values, np.nan)

    with (
        patch.object(refinement, "proven_bars", nothing),
        patch.object(refinement, "looked_closer", lambda *_: iter(())),
        patch.object(refinement, "looked_outward", lambda _, open_, __: Outward.none(open_)),
    ):
        yield


def verdicts(one: Problem) -> tuple[Label, Verdicts, int] | None:
    """Return the truth, the verdicts and the calls of a check, or None where it is refused."""
    label, report, _ = checked(one, "full")
    if not isinstance(report, Report):
        return None
    found: Verdicts = {}
    for component in report.points[0].components:
        kind = "wrong" if component.verdict in FAILING else component.verdict
        found[component.parameter, place_in(component, label)] = kind
    return label, found, report.evaluations


def judged(label: Label, where: tuple[str, tuple[int, ...]], ours: str, ladders: str) -> str:
    """Return whether a verdict that differs is closer to the truth or further off."""
    parameter, place = where
    right = bool(label.errors[parameter][place] <= SAME)
    order = ["wrong", "inconclusive", "kink", "ok"]
    better = order.index(ours) - order.index(ladders)
    if label.kind == "unsure" or not better:
        return "open"
    return "closer" if (better > 0) == right else "further"


def main() -> int:
    """Print how many verdicts differ, and the calls; return 1 where one is further off."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", default="0:2000", help="first:last, the last left out")
    options = parser.parse_args()
    counts, calls, lines = Counter[str](), Counter[str](), []
    for seed in range(*map(int, options.seeds.split(":"))):
        one = problem(seed)
        ours = verdicts(one)
        with ladders_only():
            theirs = verdicts(one)
        if ours is None or theirs is None:
            counts["refused problems"] += 1
            continue
        label = ours[0]
        calls.update(ours=ours[2], ladders=theirs[2])
        counts["problems"] += 1
        counts["components"] += sum(errors.size for errors in label.errors.values())
        for where in ours[1].keys() | theirs[1].keys():
            both = ours[1].get(where, "ok"), theirs[1].get(where, "ok")
            how = "same" if both[0] == both[1] else judged(label, where, *both)
            counts[f"not ok, {how}"] += 1
            if how == "further":
                lines.append(f"seed {seed}, {one.condition}, {one.fault}: {where} {both}")
    print(", ".join(f"{name} {count:,}" for name, count in counts.items()))
    print(f"calls: {calls['ours']:,}, with ladders alone {calls['ladders']:,}")
    print(f"further from the exact gradient: {len(lines)} (allowed: 0)")
    print("".join(f"    {line}\n" for line in lines[:40]), end="")
    return int(bool(lines))


if __name__ == "__main__":
    raise SystemExit(main())
