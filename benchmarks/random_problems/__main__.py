"""Check random problems, and print where the checks and the exact gradients disagree.

Usage: ``python -m benchmarks.random_problems --seeds 0:1000 [--mode full]``, or ``--show SEED`` for
one problem in full. With ``--plant``, right problems that pass are checked again with a fault of
twice the resolution that they stated. Exits with 1 where anything failed.
"""

from __future__ import annotations

import argparse
import sys
import time

from .planting import planted_outcome
from .problems import Problem, problem
from .running import FAILURES, checked, outcome
from .tables import failures, naming, table, undecided


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, prog="random_problems")
    parser.add_argument("--seeds", default="0:1000", help="first:last, the last left out")
    parser.add_argument("--mode", default="full", choices=("full", "probe", "sample", "auto"))
    parser.add_argument("--show", type=int, metavar="SEED", help="print one problem")
    parser.add_argument("--condition", default="", help="only problems of this condition")
    parser.add_argument("--failures", type=int, default=20, help="so many lines of each kind")
    parser.add_argument(
        "--plant",
        action="store_true",
        help="plant a fault of twice the stated resolution into each problem that passes",
    )
    options = parser.parse_args()
    if options.show is not None:
        return show(problem(options.show), options.mode)
    first, last = map(int, options.seeds.split(":"))
    begin = time.perf_counter()
    chosen = [
        one for one in map(problem, range(first, last)) if options.condition in ("", one.condition)
    ]
    if options.plant:
        planted = [planted_outcome(one, options.mode) for one in chosen if one.fault == "none"]
        outcomes = [one for one in planted if one is not None]
    else:
        outcomes = [outcome(one, options.mode) for one in chosen]
    for title in ("condition", "shape", "fault"):
        print("\n".join(table(outcomes, title, lambda one, title=title: getattr(one, title))))  # type: ignore[misc]
        print()
    print("\n".join(undecided(outcomes)))
    print()
    print("\n".join(naming(outcomes)))
    print()
    print("\n".join(failures(outcomes, options.failures)))
    print(f"{len(outcomes)} problems in {time.perf_counter() - begin:.0f} s")
    return int(any(one.result in FAILURES for one in outcomes))


def show(one: Problem, mode: str) -> int:
    """Print a problem, its truth, and what the check says."""
    print(f"seed {one.seed}: {one.condition}, {one.shape}, fault: {one.fault} {one.injected or ''}")
    if one.penalty is not None:
        print(one.penalty)
    parameters = one.drawn.parameters
    for number, leaf in enumerate(one.drawn.leaves):
        kind = "parameter" if number in parameters else "constant"
        print(f"  slot {number}: {kind} {leaf.shape} {leaf.ravel()[:8]}")
    for number, step in enumerate(one.drawn.program.steps):
        slot = one.drawn.program.leaves + number
        rounding = f", in {step.rounding}" if step.rounding else ""
        print(f"  slot {slot}: {step.name}{step.inputs} {dict(step.options)}{rounding}")
    label, report, seconds = checked(one, mode)
    print(f"truth: {label.kind}; relative errors {label.wrong()}")
    for name, exact in label.exact.items():
        print(f"  {name}: exact {exact.ravel()}\n  {name}: given {label.given[name].ravel()}")
    print(f"check, after {seconds:.3f} s:")
    if isinstance(report, Exception):
        raise report
    print(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
