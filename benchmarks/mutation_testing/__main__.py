r"""Mutation testing of the package, with cosmic-ray's operators.

A sample of mutants is drawn, and of each the tests are run that execute its line::

    python -m benchmarks.mutation_testing draw --each 70 --seed 0 sample.json
    python -m benchmarks.mutation_testing run sample.json results.jsonl --tree COPY \
        --coverage DATA --durations SECONDS

    python -m benchmarks.mutation_testing tell results.jsonl --write

``COPY`` is a copy of the repository, in which modules are changed. ``DATA`` comes of a run of all
tests under ``coverage run -m pytest -p benchmarks.mutation_testing.contexts``. A second call goes
on where the first one ended; with ``--again --budget 300`` it tries more tests on what survived. A
test that fails without any change kills nothing.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

from .mutants import Mutant, sample
from .runs import Coverings, Runner

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_gradcheck"
PAGE = ROOT / "docs" / "reliability.md"
EQUIVALENT = Path(__file__).parent / "equivalent.json"
"""Mutants that are the same program, by their names, and why."""

BEGIN, END = "<!-- mutants -->", "<!-- end of mutants -->"


def draw(args: argparse.Namespace) -> None:
    """Write a sample."""
    drawn = sample(args.package, args.each, args.seed)
    args.sample.write_text(json.dumps([asdict(one) for one in drawn], indent=0))
    print(len(drawn), "mutants")


def run(args: argparse.Namespace) -> None:
    """Run the tests of every mutant that has no result."""
    drawn = [Mutant(**one) for one in json.loads(args.sample.read_text())]
    # One of each room in turn: a run that is cut short has equal shares.
    rooms = sorted({one.room for one in drawn})
    queues = {room: [one for one in drawn if one.room == room] for room in rooms}
    drawn = [one for turn in zip_longest(*queues.values()) for one in turn if one]
    known = {}
    if args.results.exists():
        known = {one["name"]: one for one in map(json.loads, args.results.read_text().splitlines())}
    failed = set(args.failed.read_text().split("\n")) if args.failed else set()
    package = args.tree.resolve() / PACKAGE.name
    coverings = Coverings.read(args.coverage, args.measured, args.durations, failed, package)

    def work(runner: Runner) -> None:
        for mutant in drawn:
            before = known.get(mutant.name)
            if before and (before["outcome"] != "survived" or not args.again):
                continue
            start = time.monotonic()
            result = _result(runner, coverings, mutant, args.budget)
            result |= {"name": mutant.name, "took": round(time.monotonic() - start, 1)}
            with results.open("a") as out:
                out.write(json.dumps(asdict(mutant) | result) + "\n")

    results = args.results.resolve()
    Runner(args.tree.resolve(), results.with_suffix(".log"), work).main()


def _result(
    runner: Runner, coverings: Coverings, mutant: Mutant, budget: float
) -> dict[str, object]:
    imported = coverings.runs_at_import(mutant)
    tests = [test for test in coverings.tests(mutant) if runner.may_pass(test, imported)]
    chosen: list[str] = []
    seconds = 0.0
    for name in tests:
        seconds += coverings.seconds[name]
        if seconds > budget and chosen:
            break
        chosen.append(name)
    if not chosen:
        return {"outcome": "survived", "test": "no test runs it", "tried": 0, "left": 0}
    left = len(tests) - len(chosen)
    outcome, test = runner.outcome(mutant, chosen, seconds, imported)
    while outcome == "killed" and test in chosen and not runner.passes(test, imported):
        print(f"{test} fails without any change: it kills nothing")
        chosen.remove(test)
        again = chosen and runner.outcome(mutant, chosen, seconds, imported)
        outcome, test = again or ("survived", "no test that passes runs it")
    return {"outcome": outcome, "test": test, "tried": len(chosen), "left": left}


def tell(args: argparse.Namespace) -> None:
    """Write the score and the survivors into the page, with why they are the same program."""
    found = {one["name"]: one for one in map(json.loads, args.results.read_text().splitlines())}
    reasons: dict[str, str] = json.loads(EQUIVALENT.read_text(encoding="utf-8"))
    text = table(list(found.values()), reasons)
    print(text)
    if args.write:
        before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
        after = rest.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def table(found: list[dict[str, str]], reasons: dict[str, str]) -> str:
    """Return the score of each room, and the survivors, as tables of Markdown."""
    rows = ["| room | mutants | killed | the same program | survived |", "|---|---|---|---|---|"]
    for room in [*dict.fromkeys(one["room"] for one in found), ""]:
        mine = [one for one in found if room in ("", one["room"])]
        left = [one["name"] for one in mine if one["outcome"] == "survived"]
        same = sum(name in reasons for name in left)
        counts = (len(mine), len(mine) - len(left), same, len(left) - same)
        rows.append(f"| {room or 'all'} | {' | '.join(map(str, counts))} |")
    rows += ["", "| survivor | before | after | why |", "|---|---|---|---|"]
    for one in sorted(found, key=lambda one: one["name"]):
        if one["outcome"] == "survived":
            lines = [f"`{one[side].replace('|', chr(92) + '|')}`" for side in ("before", "after")]
            why = reasons.get(one["name"], "")
            rows.append(f"| `{one['module']}:{one['line']}` | {' | '.join(lines)} | {why} |")
    return "\n".join(rows)


def main() -> None:
    """Draw a sample, run it, or tell what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("draw")
    drawing.add_argument("--each", type=int, default=70, help="mutants of each room")
    drawing.add_argument("--seed", type=int, default=0)
    drawing.add_argument("--package", type=Path, default=PACKAGE)
    drawing.add_argument("sample", type=Path)
    drawing.set_defaults(call=draw)
    running = commands.add_parser("run")
    running.add_argument("sample", type=Path)
    running.add_argument("results", type=Path)
    running.add_argument("--tree", type=Path, required=True)
    running.add_argument("--coverage", type=Path, required=True)
    running.add_argument("--measured", type=Path, default=PACKAGE, help="where that was measured")
    running.add_argument("--durations", type=Path, required=True)
    running.add_argument("--failed", type=Path, help="tests that fail without any change")
    running.add_argument("--budget", type=float, default=20, help="seconds of tests for a mutant")
    running.add_argument("--again", action="store_true", help="run survivors once more")
    running.set_defaults(call=run)
    telling = commands.add_parser("tell")
    telling.add_argument("results", type=Path)
    telling.add_argument("--write", action="store_true")
    telling.set_defaults(call=tell)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the module is put back
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
