"""False alarms and misses on gradients that nobody here wrote: SciPy, scikit-learn, statsmodels.

Some 250 functions with their derivatives are imported from installed packages as they are. Each is
checked as it is, and wrong under one-line faults: a factor, a sign, one component, entries shifted,
a matrix transposed, the gradient of a nearby point, the penalty or 1/m left out, the derivative of
another activation.

What is right and what is wrong is not taken on trust. An independent reference differentiates each
cost: mpmath in 40 digits where the function exists there; else the complex step, where the function
takes complex numbers and extrapolated differences agree; else differences extrapolated four times
over twenty steps, with the bound they give. A gradient that differs from it is no right one: such
pairs, and those that the reference cannot confirm, are named and left out, with what ours says.

A fault is planted only where it is one: beyond a relative 1e-4 and ten times the reference's bound;
beyond a billionth of the typical component; and so large that the cost, over the size of its
parameter, moves by ten of its rounding units. Less no difference of the cost can show, though
mpmath can.

A tool that says "wrong" of a right gradient raises a false alarm; one that accepts a wrong gradient
misses. Ours must not either; nor may it call a component wrong that is right.

Usage: ``python benchmarks/accuracy.py [--quick] [--only TEXT] [--failures PATH]``; exits with 1
where ours raises a false alarm or misses.
"""

from __future__ import annotations

import argparse
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pairs_scipy
import pairs_sklearn
import pairs_statsmodels
import peers
from pairs import Array, Pair
from peers import Flat

from pytest_gradcheck import ProblemError, Report, check_gradients
from pytest_gradcheck.settings import Mode

MOST = 150
"""Components of a pair that the reference looks at; of larger ones, as many at random."""

LEVELS = 4
RUNGS = 20


OURS: dict[Mode, str] = {"full": "ours", "probe": "ours, probe mode"}


class Reference(NamedTuple):
    """An independent gradient: which components, their values, and the bounds of their errors.

    `visible` is the least error that the cost's own rounding leaves to be seen.
    """

    method: str
    numbers: Any
    values: Array
    bounds: Array
    visible: Array


def reference(pair: Pair) -> Reference:
    """Differentiate a cost independently of everything else here."""
    numbers = np.arange(pair.x.size)
    if numbers.size > MOST:
        numbers = np.sort(np.random.default_rng(0).choice(numbers, MOST, replace=False))
    length = np.maximum(np.abs(pair.x[numbers]), float(np.sqrt(np.mean(pair.x**2))))
    visible = 10 * np.finfo(float).eps * abs(float(pair.cost(pair.x))) / length
    visible += 1e-9 * float(np.sqrt(np.mean(np.asarray(pair.grad(pair.x), float) ** 2)))
    if pair.exact is not None:
        values = np.array([pair.exact(float(pair.x[i])) for i in numbers])
        return Reference("mpmath", numbers, values, 1e-14 * np.abs(values), visible)
    found = [extrapolated(pair, int(i)) for i in numbers]
    values, bounds = (np.array(column) for column in zip(*found, strict=True))
    exact = complex_step(pair, numbers)
    if exact is not None and np.all(np.abs(exact - values) <= bounds + 1e-12 * np.abs(values)):
        return Reference("complex step", numbers, exact, 1e-12 * np.abs(exact), visible)
    return Reference("extrapolation", numbers, values, bounds, visible)


def complex_step(pair: Pair, numbers: Any) -> Array | None:
    """Return the derivatives by the complex step, or None where the function takes no complex."""
    result = []
    for i in numbers:
        x = pair.x.astype(complex)
        x[i] += 1e-30j
        try:
            value = np.asarray(pair.cost(x))
        except (TypeError, ValueError, ArithmeticError, Warning):
            return None
        if value.dtype.kind != "c":
            return None
        result.append(float(value.imag) / 1e-30)
    return np.array(result)


def extrapolated(pair: Pair, number: int) -> tuple[float, float]:
    """Return a derivative by Richardson extrapolation, and a bound of its error.

    Of all entries of the table the one is taken that differs least from its neighbours, once four
    rounding errors of the cost over its step are added. The bound is five times that.
    """
    size = max(abs(pair.x[number]), 0.1 * float(np.sqrt(np.mean(pair.x**2))), 1e-8)
    here = abs(float(pair.cost(pair.x)))
    slopes, floors = [], []
    for step in 0.1 * size * 2.0 ** -np.arange(RUNGS):
        x = pair.x.copy()
        x[number] = ahead = pair.x[number] + step
        up = float(pair.cost(x))
        x[number] = behind = pair.x[number] - step
        down = float(pair.cost(x))
        slopes.append((up - down) / (ahead - behind))
        floors.append(4 * np.finfo(float).eps * max(here, abs(up), abs(down)) / step)
    return _least(np.array(slopes), np.array(floors))


def _least(slopes: Array, floors: Array) -> tuple[float, float]:
    best = (float(slopes[-1]), np.inf)
    column = slopes
    for level in range(1, LEVELS + 1):
        finer = (4**level * column[1:] - column[:-1]) / (4**level - 1)
        spread = np.maximum(np.abs(finer - column[1:]), floors[level:])
        apart = np.abs(np.diff(finer, append=finer[-1]))
        spread = np.where(np.isfinite(spread), np.maximum(spread, apart), np.inf)
        k = int(np.argmin(spread))
        if spread[k] < best[1]:
            best = (float(finer[k]), float(spread[k]))
        column = finer
    return best[0], 5 * best[1]


class Case(NamedTuple):
    """A gradient to be judged, and the numbers of its components that are known to be wrong."""

    name: str
    flat: Flat
    wrong: frozenset[int]
    known: frozenset[int]


Fault = Callable[[Array], Array]


def made_of_right(pair: Pair, seed: int) -> dict[str, Fault]:
    """Return faults that a right gradient can be turned into."""
    g, size = pair.grad, pair.x.size
    rng = np.random.default_rng(seed)
    largest = int(np.argmax(np.abs(np.asarray(g(pair.x), float))))
    one = int(rng.integers(size))

    def scaled(number: int, factor: float) -> Fault:
        return lambda x: np.where(np.arange(size) == number, factor, 1.0) * g(x)

    def matrix(x: Array) -> Array:
        rows, columns = pair.shape or (1, 1)
        result = np.array(g(x), float)
        part = result[: rows * columns].reshape(rows, columns)
        result[: rows * columns] = part.T.ravel()
        return result

    def nearby(x: Array) -> Array:
        return np.asarray(g(x + 0.02 * (np.abs(x) + 1e-3)))

    faults: dict[str, Fault] = {
        "twice": lambda x: 2.0 * np.asarray(g(x)),
        "half": lambda x: 0.5 * np.asarray(g(x)),
        "0.1 % too large": lambda x: 1.001 * np.asarray(g(x)),
        "sign": lambda x: -np.asarray(g(x)),
        "one sign": scaled(one, -1.0),
        "one 1 % off": scaled(one, 1.01),
        "one 0.1 % off": scaled(largest, 0.999),
        "one left out": scaled(one, 0.0),
        "1/n too much": lambda x: np.asarray(g(x)) / size,
        "shifted by one": lambda x: np.roll(g(x), 1),
        "reversed": lambda x: np.asarray(g(x))[::-1].copy(),
        "a penalty too much": lambda x: np.asarray(g(x)) + 0.01 * x,
        "of a nearby point": nearby,
    }
    if pair.shape is not None and min(pair.shape) > 1:
        faults["transposed"] = matrix
    return faults


def chosen_faults(pair: Pair, count: int) -> dict[str, Fault]:
    """Return the pair's own faults, and some of the general ones, at random but always the same."""
    seed = zlib.crc32(pair.name.encode())
    general = made_of_right(pair, seed)
    names = list(general)
    order = np.random.default_rng(seed).permutation(len(names))
    picked = {names[i]: general[names[i]] for i in order[:count]}
    if "transposed" in general:
        picked["transposed"] = general["transposed"]
    if pair.x.size > 1000:
        picked |= {name: general[name] for name in ("one 1 % off", "one left out")}
    return {**pair.faults, **picked}


def wrong_components(gradient: Array, truth: Reference, threshold: float) -> frozenset[int]:
    """Return the components that are certainly wrong by more than a relative threshold."""
    given = gradient[truth.numbers]
    off = np.abs(given - truth.values)
    size = np.abs(given) + np.abs(truth.values)
    clear = (off > 10 * truth.bounds) & (off > truth.visible) & (off > threshold * size)
    return frozenset(truth.numbers[clear].tolist())


def unconfirmed(gradient: Array, truth: Reference) -> str | None:
    """Return why a library's gradient cannot be taken for right, or None where it can."""
    given = gradient[truth.numbers]
    if not np.all(np.isfinite(given)):
        return "its own derivative is not finite"
    scale = np.maximum(np.abs(truth.values), 1e-3 * float(np.sqrt(np.mean(truth.values**2))))
    off = np.abs(given - truth.values)
    if np.any((off > truth.bounds) & (off > 1e-6 * scale)):
        k = int(np.argmax(off / np.maximum(scale, 1e-300)))
        return (
            f"theta[{truth.numbers[k]}]: the library says {given[k]:.8g}, "
            f"{truth.method} {truth.values[k]:.8g}, to within {truth.bounds[k]:.1g}"
        )
    if np.any(truth.bounds > 1e-4 * scale):
        return f"no reference: {truth.method} is certain only to {np.max(truth.bounds / scale):.1g}"
    return None


def flattened(pair: Pair, gradient: Callable[[Array], Any]) -> Flat:
    """Return a pair with a gradient as plain functions of floats."""
    return Flat(lambda x: float(pair.cost(x)), lambda x: np.asarray(gradient(x), float), pair.x)


def cases(pair: Pair, truth: Reference, count: int) -> Iterator[Case]:
    """Yield a pair as it is, and wrong."""
    known = frozenset(truth.numbers.tolist())
    yield Case("right", flattened(pair, pair.grad), frozenset(), known)
    for name, gradient in chosen_faults(pair, count).items():
        spoiled = flattened(pair, gradient)
        wrong = wrong_components(spoiled.grad(pair.x), truth, 1e-4)
        if wrong:
            yield Case(name, spoiled, wrong, known)


class Tally:
    """Counts over all pairs."""

    def __init__(self) -> None:
        self.right = self.wrong = 0
        self.asked: Counter[tuple[str, bool]] = Counter()
        self.mistakes: Counter[tuple[str, bool]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.methods: Counter[str] = Counter()
        self.undecided: Counter[str] = Counter()
        self.excluded: list[str] = []
        self.failures: list[str] = []

    def add(self, pair: Pair, case: Case, truth: Reference, slow: bool) -> None:
        """Ask every tool about a case."""
        wrong = bool(case.wrong)
        self.right, self.wrong = self.right + (not wrong), self.wrong + wrong
        if wrong:
            self.kinds[case.name] += 1
        for mode in OURS:
            self._add_ours(pair, case, truth, mode)
        for rule, accepted in peers.verdicts(case.flat, slow).items():
            self.asked[rule, wrong] += 1
            self.mistakes[rule, wrong] += accepted == wrong

    def _add_ours(self, pair: Pair, case: Case, truth: Reference, mode: Mode) -> None:
        wrong, name = bool(case.wrong), OURS[mode]
        self.asked[name, wrong] += 1
        try:
            report = check_gradients(*case.flat, mode=mode, seed=0)
        except ProblemError as error:
            self.failures.append(f"{pair.name} | {case.name} | {error.code}: {error}")
            self.mistakes[name, wrong] += 1
            return
        accused = _accused(report)
        innocent = sorted((accused & case.known) - _guilty(case, truth))
        self.mistakes[name, wrong] += report.passed == wrong or bool(innocent)
        if not wrong:
            self.undecided.update(c.verdict for c in report.components)
        if report.passed == wrong:
            numbers = case.wrong if wrong else accused or {0}
            self._explain(pair, case, report, truth, "MISS" if wrong else "FALSE ALARM", numbers)
        elif innocent:
            self._explain(pair, case, report, truth, "RIGHT COMPONENT ACCUSED", set(innocent))

    def _explain(
        self, pair: Pair, case: Case, report: Report, truth: Reference, what: str, numbers: Any
    ) -> None:
        where = {int(n): k for k, n in enumerate(truth.numbers)}
        listed = {c.index[0]: c for c in report.components}
        for number in sorted(numbers)[:3]:
            text = f"{what} | {pair.name} | {case.name} | theta[{number}]"
            text += f" = {pair.x[number]:.8g}"
            if number in where:
                k = where[number]
                text += f" | {truth.method} {truth.values[k]:.10g} +- {truth.bounds[k]:.1g}"
            c = listed.get(number)
            text += f" | analytic {case.flat.grad(pair.x)[number]:.10g}"
            if c is not None:
                text += f" | numerical {c.numerical:.10g} bar {c.error_bar:.2g} -> {c.verdict}"
            self.failures.append(text + f" | J = {case.flat.cost(pair.x):.6g}")

    def table(self) -> Iterator[str]:
        """Yield the table of mistakes."""
        yield f"{'':26}{'false alarms':>16}{'misses':>16}"
        for rule in (*OURS.values(), *peers.RULES):
            cells = ""
            for wrong in (False, True):
                asked = self.asked[rule, wrong]
                cells += f"{self.mistakes[rule, wrong]:>9} of {asked:<4}" if asked else f"{'-':>16}"
            yield f"{rule:26}{cells}"


def _accused(report: Report) -> set[int]:
    bad = ("suspect", "bug", "nonfinite")
    return {c.index[0] if c.index else 0 for c in report.components if c.verdict in bad}


def _guilty(case: Case, truth: Reference) -> frozenset[int]:
    """Return the components that are wrong by any amount that the reference is sure of."""
    given = case.flat.grad(case.flat.x)[truth.numbers]
    off, size = np.abs(given - truth.values), np.abs(given) + np.abs(truth.values)
    return frozenset(truth.numbers[(off > truth.bounds) & (off > 1e-6 * size)].tolist())


def main() -> int:
    """Print the table; return 1 where ours is mistaken."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every sixth pair, two faults each")
    parser.add_argument("--only", default="", help="pairs whose name contains this text")
    parser.add_argument("--failures", type=Path, help="where to write what ours got wrong")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tally, count = Tally(), 2 if options.quick else 4
    found = chain(pairs_scipy.pairs(), pairs_sklearn.pairs(), pairs_statsmodels.pairs())
    named = (pair for pair in found if options.only in pair.name)
    for pair in islice(named, 0, None, 6 if options.quick else 1):
        with np.errstate(all="ignore"):
            judge(pair, tally, count)
    print("\n".join(summary(tally)))
    if options.failures:
        options.failures.write_text("\n".join(tally.failures) + "\n", encoding="utf-8")
    return int(bool(tally.failures))


def judge(pair: Pair, tally: Tally, count: int) -> None:
    """Put one pair to all tools."""
    truth = reference(pair)
    doubt = unconfirmed(np.asarray(pair.grad(pair.x), float), truth)
    if doubt is not None:
        report = check_gradients(*flattened(pair, pair.grad), mode="full")
        tally.excluded.append(f"{pair.name}: {doubt}; ours: {report.verdict}")
        return
    tally.methods[truth.method] += 1
    for case in cases(pair, truth, count):
        tally.add(pair, case, truth, slow=pair.x.size <= 12)


def summary(tally: Tally) -> Iterator[str]:
    """Yield what is printed."""
    yield f"{tally.right} right gradients and {tally.wrong} wrong ones"
    yield "confirmed by " + ", ".join(f"{m} ({n})" for m, n in tally.methods.most_common())
    yield "faults: " + ", ".join(f"{name} ({n})" for name, n in tally.kinds.most_common())
    yield ""
    yield from tally.table()
    yield "\nright gradients, ours: components not called ok: " + (
        ", ".join(f"{v} {n}" for v, n in sorted(tally.undecided.items())) or "none"
    )
    yield f"\nleft out, as not confirmed to be right: {len(tally.excluded)}"
    yield from (f"    {line}" for line in tally.excluded)
    yield f"\nmistakes of ours: {len(tally.failures)}"
    yield from (f"    {line}" for line in tally.failures[:40])


if __name__ == "__main__":
    raise SystemExit(main())
