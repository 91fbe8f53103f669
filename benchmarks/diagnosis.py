"""How often the cause of a wrong gradient is named, and how often a wrong one.

Two sources of faults. The bundled network with one line of its backprop changed, as its tests have
them: every fault comes with the code of the finding that explains it, or with none. And functions
with their derivatives from SciPy, scikit-learn and statsmodels, made wrong in ways whose cause is
known: a factor, a sign, zeros, a penalty left out or doubled, places exchanged, one branch of a
function, single entries, a nearby point.

The first cause of a report counts: it is right, wrong, or there is none. Of faults that no code
explains, and of errors at random, any cause at all is wrong; so is one of a right pair.

Usage: ``python benchmarks/diagnosis.py [--quick] [--only TEXT] [--verbose]``; exits with 1 where
fewer than 90 % of the causes are named right, more than 1 % wrong, or one of a right pair.
"""

from __future__ import annotations

import argparse
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np
import pairs_scipy
import pairs_sklearn
import pairs_statsmodels
from accuracy import reference, unconfirmed
from network_faults import FAULTS
from pairs import Array, Pair

from pytest_gradcheck import Problem, ProblemError, check_gradients
from pytest_gradcheck.diagnosis import CAUSES
from pytest_gradcheck.network import backprop

Gradients = dict[str, Array]

RIGHT, NONE = "(right pair)", "(no cause)"
LEAST, MOST = 0.90, 0.01

MADE = {
    "missing 1/m": "scale",
    "missing penalty": "missing-regularization",
    "penalty twice": "wrong-regularization",
    "wrong activation derivative": NONE,
}
"""What the faults are that come with the pairs."""


class Case(NamedTuple):
    """A pair, right or wrong, and what its finding should be."""

    name: str
    cause: str
    problem: Problem


def of_network(modes: tuple[str, ...]) -> Iterator[Case]:
    """Yield the faults of the network, and the network without them."""
    seen = set()
    for fault in FAULTS:
        for mode in modes:
            name = f"network, {mode}: {fault.name}"
            settings: dict[str, Any] = {"seed": 0, "mode": mode, "samples": 8}
            yield Case(name, fault.cause or NONE, fault.problem(**settings))
        kind = (str(fault.data), fault.sizes)
        if kind not in seen:
            seen.add(kind)
            yield Case(f"network, without: {fault.name}", RIGHT, fault.problem(planted=False))


def of_parameters() -> Iterator[Case]:
    """Yield the network with the gradients of whole parameters changed."""
    rng = np.random.default_rng(17)
    noise = {n: rng.uniform(0.3, 3.0, size=(5, 5)) for n in "WV"}
    changes: dict[str, tuple[str, Callable[[Gradients], Gradients]]] = {
        "biases swapped": ("swapped", lambda g: g | {"db1": g["db2"], "db2": g["db1"]}),
        "weights swapped": ("swapped", lambda g: g | {"dW2": g["dW3"], "dW3": g["dW2"]}),
        "one bias for another": ("swapped", lambda g: g | {"db1": g["db3"]}),
        "another, transposed": ("swapped", lambda g: g | {"dW2": g["dW3"].T}),
        "one layer never filled": ("zero", lambda g: g | {"dW2": 0 * g["dW2"]}),
        "sum in one bias": ("scale", lambda g: g | {"db2": 9 * g["db2"]}),
        "sums in two layers": ("scale", lambda g: g | {"dW1": 9 * g["dW1"], "dW2": 9 * g["dW2"]}),
        "the other axis": ("transposed", lambda g: g | {"dW2": g["dW2"].T}),
        "rows in another order": ("shifted", lambda g: g | {"dW2": g["dW2"][[1, 0, 2, 4, 3]]}),
        "off by one": ("shifted", lambda g: g | {"dW2": np.roll(g["dW2"], 1, axis=1)}),
        "filter not flipped": ("shifted", lambda g: g | {"dW2": g["dW2"][::-1, ::-1]}),
        "mean over the units": (
            "wrong-axis",
            lambda g: g | {"db2": 0 * g["db2"] + g["db2"].mean()},
        ),
        "last column left out": (
            "partial",
            lambda g: g | {"dW2": np.where(np.arange(5) == 4, 0, g["dW2"])},
        ),
        "one entry": (
            "partial",
            lambda g: g | {"dW2": np.where(np.arange(25).reshape(5, 5) == 7, 3, 1) * g["dW2"]},
        ),
        "weights at random": (NONE, lambda g: g | {"dW2": noise["W"] * g["dW2"]}),
        "weights and a bias at random": (
            NONE,
            lambda g: g | {"dW2": noise["W"] * g["dW2"], "db3": noise["V"][:, :1] * g["db3"]},
        ),
        "top at random": (
            NONE,
            lambda g: g | {"dW3": noise["W"] * g["dW3"], "db3": noise["V"][:, :1] * g["db3"]},
        ),
    }
    like = replace(FAULTS[0], sizes=(5, 5, 5, 5), data={"activation": "tanh"})
    for name, (cause, change) in changes.items():
        problem = like.problem(planted=False, seed=0, mode="full")
        yield Case(f"network: {name}", cause, replace(problem, grad=_then(change)))


def _then(change: Callable[[Gradients], Gradients]) -> Callable[..., Gradients]:
    def grad(params: Any, X: Array, Y: Array, activation: str) -> Gradients:
        return change(backprop(params, X, Y, activation=activation))

    return grad


def of_libraries() -> Iterator[tuple[Pair, Iterator[Case]]]:
    """Yield the pairs of the libraries, each with its cases."""
    found = chain(pairs_scipy.pairs(), pairs_sklearn.pairs(), pairs_statsmodels.pairs())
    for pair in found:
        if confirmed(pair):
            yield pair, cases(pair)


def confirmed(pair: Pair) -> bool:
    """Return whether an independent reference says that a library's gradient is right."""
    with np.errstate(all="ignore"):
        gradient = np.asarray(pair.grad(pair.x), float)
        return unconfirmed(gradient, reference(pair)) is None


def cases(pair: Pair) -> Iterator[Case]:
    """Yield a pair as it is, with the faults that come with it, and with made ones."""

    def case(fault: str, cause: str, gradient: Callable[[Array], Any]) -> Case:
        problem = Problem(
            lambda x: float(pair.cost(x)), lambda x: np.asarray(gradient(x), float), pair.x
        )
        return Case(f"{pair.name}: {fault}", cause, problem)

    yield case("as it is", RIGHT, pair.grad)
    for name, gradient in pair.faults.items():
        yield case(name, MADE[name], gradient)
    right = np.array(pair.grad(pair.x), float)
    for name, (cause, change) in made(pair).items():
        wrong = change(right.copy(), pair.x)
        if cause in ("scale", "sign", "zero", NONE) or not proportional(wrong, right):
            yield case(name, cause, _changed(pair, change))


def proportional(wrong: Array, right: Array) -> bool:
    """Return whether a wrong gradient is a multiple of the right one, which is simpler to say.

    A penalty too much of a sum of squares is a factor; so is the nearby point of an exponential.
    """
    factor = np.dot(wrong, right) / np.dot(right, right)
    return bool(np.all(np.abs(wrong - factor * right) <= 1e-6 * np.max(np.abs(right))))


def _changed(pair: Pair, change: Callable[[Array, Array], Array]) -> Callable[[Array], Array]:
    return lambda x: change(np.array(pair.grad(x), float), x)


def made(pair: Pair) -> dict[str, tuple[str, Callable[[Array, Array], Array]]]:
    """Return changes of a right gradient, each with its cause."""
    size = pair.x.size
    rng = np.random.default_rng(zlib.crc32(pair.name.encode()))
    noise = rng.uniform(0.3, 3.0, size)
    one = int(np.argmax(np.abs(np.asarray(pair.grad(pair.x), float))))

    def at_one(factor: float) -> Callable[[Array, Array], Array]:
        return lambda g, x: np.where(np.arange(size) == one, factor, 1.0) * g

    result: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
        "twice": ("scale", lambda g, x: 2 * g),
        "1/7": ("scale", lambda g, x: g / 7),
        "-3 times": ("scale", lambda g, x: -3 * g),
        "sign": ("sign", lambda g, x: -g),
        "zero": ("zero", lambda g, x: 0 * g),
        "errors at random": (NONE, lambda g, x: noise * g),
        "something added at random": (NONE, lambda g, x: g + np.abs(g).max() * noise),
    }
    if size == 1:
        return {name: result[name] for name in ("sign", "zero")}
    varied = np.ptp(np.abs(pair.x)) > 0.1 * np.abs(pair.x).max()
    if size >= 4:
        result |= {
            "a penalty too much": ("wrong-regularization", lambda g, x: g + 0.03 * x),
            "shifted by one": ("shifted", lambda g, x: np.roll(g, 1)),
            "reversed": ("shifted", lambda g, x: g[::-1].copy()),
            "one sign": ("partial", at_one(-1.0)),
            "one left out": ("partial", at_one(0.0)),
            "one 1 % off": ("partial", at_one(1.01)),
            "sum for every entry": ("wrong-axis", lambda g, x: np.full_like(g, g.sum())),
        }
        if not varied:
            del result["a penalty too much"]
    if min(np.count_nonzero(pair.x < 0), np.count_nonzero(pair.x > 0)) >= 3 and size >= 8:
        result["one branch"] = ("mask", lambda g, x: np.where(x < 0, 0.3, 1.0) * g)
    if size >= 8:
        dropped = (np.arange(size) >= 2) & (np.arange(size) < 5)
        result["three entries dropped"] = ("partial", lambda g, x: np.where(dropped, 0.0, g))
        right = pair.grad
        result["of a nearby point"] = (
            "stale",
            lambda g, x: np.array(right(x - 0.01), float),
        )
    if pair.shape is not None and min(pair.shape) > 1:
        result["transposed"] = ("transposed", lambda g, x: _transposed(g, pair.shape))
    return result


def _transposed(gradient: Array, shape: Any) -> Array:
    part = gradient[: shape[0] * shape[1]]
    part[:] = part.reshape(shape).T.ravel()
    return gradient


class Tally:
    """What was named, cause by cause."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self.mistakes: list[str] = []
        self.refused = 0

    def add(self, case: Case) -> None:
        """Check a case."""
        try:
            report = check_gradients(
                case.problem.cost,
                case.problem.grad,
                case.problem.params,
                *case.problem.args,
                data=case.problem.data,
                **case.problem.settings,
            )
        except ProblemError:
            self.refused += 1
            return
        if case.cause != RIGHT and report.passed:
            return  # no fault here: a shift of equal entries, say
        causes = [finding for finding in report.findings if finding.severity == "cause"]
        found = causes[0].code if causes else NONE
        self.counts.setdefault(case.cause, Counter())[found] += 1
        if found != case.cause and not (case.cause == RIGHT and found == NONE):
            said = causes[0].message if causes else ""
            self.mistakes.append(f"{case.name} | {case.cause} -> {found} | {said}")

    def share(self, pick: Callable[[str, str], bool], of: Callable[[str], bool]) -> float:
        """Return how large a share of some cases has some outcome."""
        rows = [(cause, counts) for cause, counts in self.counts.items() if of(cause)]
        some = sum(n for cause, c in rows for found, n in c.items() if pick(cause, found))
        return some / max(sum(c.total() for _, c in rows), 1)

    def table(self) -> Iterator[str]:
        """Yield the table."""
        yield f"{'cause':26}{'faults':>8}{'right':>8}{'none':>8}{'wrong':>8}  named instead"
        for cause in (*CAUSES, NONE, RIGHT):
            counts = self.counts.get(cause, Counter())
            none = counts[NONE]
            right = none if cause in (NONE, RIGHT) else counts[cause]
            others = {f: n for f, n in counts.items() if f not in (cause, NONE)}
            instead = ", ".join(f"{f} {n}" for f, n in others.items())
            none = 0 if cause in (NONE, RIGHT) else none
            row = f"{cause:26}{counts.total():>8}{right:>8}{none:>8}{sum(others.values()):>8}"
            yield f"{row}  {instead}".rstrip()


def main() -> int:
    """Print the table; return 1 where it is not good enough."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="every sixth pair of the libraries")
    parser.add_argument("--only", default="", help="cases whose name contains this text")
    parser.add_argument("--verbose", action="store_true", help="all that was not named right")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    tally = Tally()
    of_pairs = islice(of_libraries(), 0, None, 6 if options.quick else 1)
    made_here = chain(of_network(("full", "sample")), of_parameters())
    every = chain(made_here, chain.from_iterable(c for _, c in of_pairs))
    for case in every:
        if options.only in case.name:
            with np.errstate(all="ignore"):
                tally.add(case)
    print("\n".join(tally.table()))
    known = lambda cause: cause not in (NONE, RIGHT)  # noqa: E731
    right = tally.share(lambda cause, found: cause == found, known)
    wrong = tally.share(
        lambda cause, found: found not in (cause, NONE), lambda cause: cause != RIGHT
    )
    alarms = tally.counts.get(RIGHT, Counter()).total() - tally.counts.get(RIGHT, Counter())[NONE]
    print(
        f"\nnamed right {right:.1%} (at least {LEAST:.0%}), wrong {wrong:.1%} (at most {MOST:.0%})"
    )
    print(f"causes of right pairs: {alarms} (none allowed); refused: {tally.refused}")
    for line in tally.mistakes if options.verbose else tally.mistakes[:20]:
        print(f"    {line}")
    return int(right < LEAST or wrong > MOST or alarms > 0)


if __name__ == "__main__":
    raise SystemExit(main())
