"""How often the cause of a fault planted in a random problem is named, and how often a wrong one.

A fault at a parameter itself leaves the pattern that its kind has a code for: that has to be named.
Deeper in the backward pass the same fault leaves another pattern, or none; there no cause is right
but one that truly describes what is seen. At a stationary point nothing is seen but that all should
be 0; there a cause may describe how the gradients change nearby.

Usage: ``python benchmarks/causes.py --seeds FIRST:LAST [--verbose]``; exits with 1 where fewer than
85 % of the causes that show are named right, more than 1 % of all wrong, or one of a right pair.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from random_problems.faults import KINDS, patterns
from random_problems.labels import SAME, Label, labelled
from random_problems.problems import Problem, problem
from random_problems.programs import Array
from random_problems.running import checked
from random_problems.shapes import call

from pytest_gradcheck import Report

RIGHT = "(right pair)"
LEAST, MOST = 0.85, 0.01

WHERE = ("output", "line", "nonlinear-upstream")
"""Findings that tell where a layer's backward pass is wrong, and no cause."""

NORMALIZING = ("normalized", "deviation", "softmax")
"""Operations with a mean, a variance or a sum in them, whose derivatives have a term for each."""

MATRICES = ("jacobian", "hessian", "pushforward", "adjoint", "jvp", "hvp")
"""Shapes of problems without a gradient, whose causes have a benchmark of their own."""


class Planted(NamedTuple):
    """A fault of a random problem that was found, and what was said of it."""

    kind: str
    condition: str
    shows: bool
    said: str
    detail: str


def planted(seed: int) -> Planted | None:
    """Check the random problem of a seed; None where nothing wrong was found, or could be."""
    one = problem(seed)
    if any(word in one.shape for word in MATRICES):
        return None
    label, report, _ = checked(one, "full", locate=False)
    causes = _causes(report) if isinstance(report, Report) else []
    if not isinstance(report, Report) or label.kind not in ("visible", "right"):
        return None
    if label.kind == "right" or report.passed:
        said = ("wrong" if causes else "right") if label.kind == "right" else ""
        return Planted(RIGHT, one.condition, True, said, f"{seed} {causes}") if said else None
    found = _found(one, label)
    nearby = _nearby(one, label, list(found)) if one.condition == "stationary" else found
    known = set(KINDS.get(one.fault, ())) | _of_step(one)
    shows = all(nearby[name] - ({"partial"} - known) for name in found)
    said = "right" if causes else "none"
    for code, parameter, _ in causes:
        names = found if parameter is None else [parameter]
        told = known.union(*(nearby.get(name, set()) for name in names))
        if code not in told and code not in WHERE and not (code == "upstream" and len(found) > 1):
            said = "wrong"
    detail = f"{seed} [{one.condition}] {one.fault} {nearby if shows else found} | {causes}"
    return Planted(one.fault, one.condition, shows, said, detail)


def _causes(report: Report) -> list[tuple[str, str | None, str]]:
    return [(f.code, f.parameter, f.message) for f in report.findings if f.severity == "cause"]


def _found(one: Problem, label: Label) -> dict[str, set[str]]:
    """Return the codes that truly describe each wrong gradient.

    A factor of all but the penalty is called a factor.
    """
    names = [name for name, error in label.wrong().items() if error > SAME]
    found = {name: _codes(one, name, label.exact[name], label.given[name]) for name in names}
    for name, codes in found.items():
        codes |= _of_another(label, name) | _of_theta(one, label, name)
        exact, given = label.exact[name], label.given[name]
        if one.shape == "complex" and np.allclose(given, exact * [1, -1], rtol=1e-9, atol=0):
            codes.add("conjugated")  # as is the sign of what happens to be the imaginary parts
    if one.penalty is not None:
        named, penalty, values = call(one).named, one.penalty, one.values
        right = named(penalty.slopes(values, penalty.lambd))
        wrong = named(penalty.slopes(values, penalty.lambd, penalty.fault))
        for name, codes in found.items():
            exact, given = label.exact[name] - right[name], label.given[name] - wrong[name]
            codes |= _codes(one, name, exact, given) & {"scale", "sign"}
    return found


def _of_step(one: Problem) -> set[str]:
    """Return that a term of a normalization is missing, where the fault is in one."""
    if one.injected is None or one.fault != "term":
        return set()
    name = one.drawn.program.steps[one.injected.step].name
    return {"normalization"} if name in NORMALIZING else set()


def _of_another(label: Label, name: str) -> set[str]:
    """Return that an array is the gradient of another parameter, where it is."""
    given = label.given[name].ravel()
    others = (e.ravel() for other, e in label.exact.items() if other != name)
    alike = any(e.size == given.size > 1 and np.allclose(e, given, rtol=1e-9) for e in others)
    return {"swapped"} if alike else set()


def _of_theta(one: Problem, label: Label, name: str) -> set[str]:
    """Return that an array is the gradient times theta or divided by it, whatever did that.

    So is that of a power with an exponent that is off by one: it looks like a chain rule.
    """
    theta, exact, given = call(one).named(one.values)[name], label.exact[name], label.given[name]
    with np.errstate(all="ignore"):
        products = (exact * theta, exact / theta)
    close = any(np.allclose(given, product, rtol=1e-6, atol=0) for product in products)
    return {"transformed"} if given.size > 2 and close else set()


def _nearby(one: Problem, label: Label, wrong: Sequence[str]) -> dict[str, set[str]]:
    """Return the codes that truly describe how a gradient changes away from a stationary point.

    What changes as it should, and is not what it should be, has a constant added.
    """
    moved = replace(one, values=[1.1 * value + 0.05 for value in one.values])
    with np.errstate(all="ignore"):
        there = labelled(moved, call(moved))
    found = {}
    for name in wrong:
        exact = there.exact[name] - label.exact[name]
        given = there.given[name] - label.given[name]
        same = np.allclose(exact, given, rtol=1e-9, atol=1e-9 * np.abs(exact).max())
        found[name] = {"offset"} if same else _codes(one, name, exact, given)
        if not exact.any():
            found[name].add("unused")  # all that it did is in the plane that was taken off
    return found


def _codes(one: Problem, name: str, exact: Array, given: Array) -> set[str]:
    """Return the codes that truly describe an array, or each wrong leaf of those that it has.

    A flat vector has several.
    """
    leaves = [np.full(value.shape, float(n)) for n, value in enumerate(one.values)]
    owners = call(one).named(leaves)[name]
    of_leaves = []
    for number in np.unique(owners) if np.ptp(owners) else ():
        mine = owners == number
        shape = one.values[int(number)].shape
        whole = np.prod(shape) == np.count_nonzero(mine)
        right, wrong = (array[mine].reshape(shape if whole else -1) for array in (exact, given))
        if not np.allclose(right, wrong, rtol=SAME, atol=0.0):
            of_leaves.append(_described(right, wrong, one.fault))
    common = set.intersection(*of_leaves) if of_leaves else set()
    return _described(exact, given, one.fault) | common


def _described(exact: Array, given: Array, fault: str) -> set[str]:
    """Return the codes that truly describe a wrong gradient, zeros down to rounding included.

    One number is a factor times any other, which says nothing unless a factor was put in, or it
    has two digits.
    """
    if not np.any(exact != given):
        return set()
    codes = set(patterns(exact, given))
    size = float(np.abs(exact).max(initial=0.0))
    large = np.abs(exact) > 1e-9 * size
    if np.count_nonzero(large) == 1 and "scale" not in KINDS.get(fault, ()):
        ratio = float((given[large] / exact[large])[0])
        codes -= set() if abs(ratio - float(f"{ratio:.2g}")) <= 1e-9 * abs(ratio) else {"scale"}
    if np.abs(given).max() <= 1e-10 * size:
        codes.add("zero")
    if size <= 1e-13 * np.abs(given).max():
        codes.add("unused")  # no difference of the cost shows it
    return codes


def of_random(seeds: range, verbose: bool) -> int:
    """Print the tables of random problems, by kind and by condition."""
    every = [one for seed in seeds if (one := planted(seed)) is not None]
    faults = [one for one in every if one.kind != RIGHT]
    for title, key in (("kind of fault", 0), ("condition", 1)):
        print(f"{title:22}{'shows':>7}{'right':>7}{'none':>7}{'wrong':>7}", end="")
        print(f"{'deeper':>9}{'right':>7}{'none':>7}{'wrong':>7}")
        for name in [*sorted({one[key] for one in faults}), "all"]:
            row = f"{name!s:22}"
            for shows, width in ((True, 7), (False, 9)):
                some = [o for o in faults if o.shows == shows and name in ("all", o[key])]
                said = Counter(one.said for one in some)
                row += f"{len(some):{width}}"
                row += "".join(f"{said[word] or '':>7}" for word in ("right", "none", "wrong"))
            print(row)
        print()
    shown = [one for one in faults if one.shows]
    right = sum(one.said == "right" for one in shown) / max(len(shown), 1)
    wrong = sum(one.said == "wrong" for one in faults) / max(len(faults), 1)
    alarms = sum(one.said == "wrong" for one in every if one.kind == RIGHT)
    print(f"of {len(shown)} faults that show their kind {right:.1%} are named right")
    moving = [one for one in shown if one.condition != "stationary"]
    named = sum(one.said == "right" for one in moving) / max(len(moving), 1)
    print(f"of {len(moving)} of them away from stationary points {named:.1%}")
    print(f"of all {len(faults)} faults {wrong:.2%} are named wrong")
    codeless = [one for one in faults if not KINDS.get(one.kind)]
    untrue = sum(one.said == "wrong" for one in codeless) / max(len(codeless), 1)
    print(f"of {len(codeless)} faults of kinds without a code {untrue:.2%} have an untrue cause")
    print(f"of {len(every) - len(faults)} right pairs {alarms} have a cause")
    for one in every:
        if one.said == "wrong" or (verbose and one.shows and one.said == "none"):
            print(f"    {one.said}: {one.detail}")
    return int(right < LEAST or wrong > MOST or alarms > 0)


def main() -> int:
    """Print the tables; return 1 where they are not good enough."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seeds", default="0:1000", help="first:last, the last left out")
    parser.add_argument("--verbose", action="store_true", help="those that were not named, too")
    options = parser.parse_args()
    first, last = map(int, options.seeds.split(":"))
    return of_random(range(first, last), options.verbose)


if __name__ == "__main__":
    raise SystemExit(main())
