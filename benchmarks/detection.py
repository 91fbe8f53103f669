"""How small a fault is found: one component wrong by a relative 1e-1 down to 3e-5.

The costs are random networks (tanh, ReLU; small and large costs; a penalty) and smooth functions of
a vector (Rosenbrock's, log-sum-exp, a sum of sines, a quadratic form, a product of powers), each at
random points. One component of the right gradient, drawn at random among those that are not zero,
is multiplied by 1 + fault or 1 - fault, and every tool is asked.

What can be found at all is bounded by the arithmetic of the cost: a fault counts as allowed for
where it exceeds twice the error bar of that component plus the threshold of 1e-5 that the verdict
is made at. The error bar is that of a check of the wrong gradient itself. How often a fault of at
least 3e-5 is not allowed for is a column of its own, so that wide bars cannot hide misses.

Usage: ``python benchmarks/detection.py [--quick] [--trials N]``; exits with 1 where ours misses a
fault of 3e-5 or more that its error bar allows for.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import peers
from false_alarms import flat, pair
from peers import Array, Flat

from pytest_gradcheck import Report, check_gradients

FAULTS = (1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5)
THRESHOLD = 1e-5


def rosenbrock(rng: np.random.Generator) -> Flat:
    """Return Rosenbrock's valley."""

    def cost(x: Array) -> float:
        return float(np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    def grad(x: Array) -> Array:
        off = x[1:] - x[:-1] ** 2
        result = np.zeros_like(x)
        result[1:] += 200 * off
        result[:-1] -= 400 * off * x[:-1] + 2 * (1 - x[:-1])
        return result

    return Flat(cost, grad, rng.normal(size=20))


def log_sum_exp(rng: np.random.Generator) -> Flat:
    """Return the logarithm of a sum of exponentials of linear forms."""
    A, b = rng.normal(size=(30, 15)), rng.normal(size=30)

    def grad(x: Array) -> Array:
        z = A @ x + b
        p = np.exp(z - z.max())
        slope: Array = A.T @ (p / p.sum())
        return slope

    return Flat(lambda x: float(np.logaddexp.reduce(A @ x + b)), grad, rng.normal(size=15))


def sines(rng: np.random.Generator) -> Flat:
    """Return a weighted sum of sines, plus the square of the sum."""
    n = 40
    w = rng.uniform(1, 2, n)

    def cost(x: Array) -> float:
        return float(w @ np.sin(x)) + float(x.sum()) ** 2 / (2 * n)

    return Flat(cost, lambda x: w * np.cos(x) + x.sum() / n, rng.normal(size=n))


def quadratic(rng: np.random.Generator) -> Flat:
    """Return a quadratic form of a vector whose components span six orders of magnitude."""
    A = rng.normal(size=(20, 20))
    Q, x = A @ A.T, 10.0 ** rng.uniform(-3, 3, 20)
    return Flat(lambda x: 0.5 * float(x @ Q @ x), lambda x: Q @ x, x)


def powers(rng: np.random.Generator) -> Flat:
    """Return a product of powers of positive numbers."""
    a = rng.uniform(-1, 1, 12)

    def cost(x: Array) -> float:
        return float(np.prod(x**a))

    return Flat(cost, lambda x: a * cost(x) / x, rng.uniform(0.1, 3, 12))


def tiny(rng: np.random.Generator) -> Flat:
    """Return a cost of the order of 1e-7, as a scaled loss is."""
    whole = sines(rng)
    return Flat(lambda x: 1e-7 * whole.cost(x), lambda x: 1e-7 * whole.grad(x), whole.x)


def offset(rng: np.random.Generator) -> Flat:
    """Return a cost with a constant of 1e6 in it, as a log-likelihood has."""
    whole = sines(rng)
    return Flat(lambda x: 1e6 + whole.cost(x), whole.grad, whole.x)


def network(kind: str, small: bool) -> Callable[[np.random.Generator], Flat]:
    """Return a maker of networks."""
    return lambda rng: flat(pair(kind, int(rng.integers(2**31)), small))


COSTS: dict[str, Callable[[np.random.Generator], Flat]] = {
    "tanh net": network("tanh", False),
    "relu net": network("deep relu", False),
    "tanh net, 0.01": network("tanh", True),
    "relu net, 0.01": network("relu", True),
    "Rosenbrock": rosenbrock,
    "log-sum-exp": log_sum_exp,
    "sines": sines,
    "quadratic": quadratic,
    "powers": powers,
    "tiny cost": tiny,
    "offset cost": offset,
}


def spoiled(right: Flat, fault: float, rng: np.random.Generator) -> tuple[Flat, int, float]:
    """Return the pair with one component wrong, its number, and by how much it is wrong."""
    gradient = right.grad(right.x)
    number = int(rng.choice(np.flatnonzero(gradient)))
    factor = 1 + rng.choice((-1.0, 1.0)) * fault

    def grad(x: Array) -> Array:
        result: Array = right.grad(x).copy()
        result[number] *= factor
        return result

    return Flat(right.cost, grad, right.x), number, float((factor - 1) * gradient[number])


def allowed(wrong: Flat, number: int, delta: float, report: Report) -> bool:
    """Return whether the error bar of a component leaves room to see how wrong it is."""
    bars = {component.index: component.error_bar for component in report.components}
    bar = bars[number,] if (number,) in bars else _hidden_bar(wrong, number)
    size = 2 * abs(float(wrong.grad(wrong.x)[number]))
    return abs(delta) > 2 * bar + THRESHOLD * size


def _hidden_bar(wrong: Flat, number: int) -> float:
    """Return the error bar of a component that was called ok, by asking for a verdict on it."""
    absurd = Flat(wrong.cost, lambda x: np.where(np.arange(x.size) == number, 1e300, 0.0), wrong.x)
    report = check_gradients(*absurd)
    return next((c.error_bar for c in report.components if c.index == (number,)), 0.0)


class Tally:
    """Counts, by fault."""

    def __init__(self) -> None:
        self.trials: Counter[float] = Counter()
        self.allowed: Counter[float] = Counter()
        self.caught: Counter[tuple[str, float]] = Counter()
        self.asked: Counter[tuple[str, float]] = Counter()
        self.missed: list[str] = []
        self.by_cost: dict[str, Counter[float]] = {kind: Counter() for kind in COSTS}

    def add_ours(self, kind: str, fault: float, wrong: tuple[Flat, int, float]) -> None:
        """Ask ours about a wrong gradient."""
        pair, number, delta = wrong
        report = check_gradients(*pair)
        caught = any(c.index == (number,) for c in report.components) and not report.passed
        self.trials[fault] += 1
        self.caught["ours", fault] += caught
        self.by_cost[kind][fault] += caught
        visible = caught or allowed(pair, number, delta, report)
        self.allowed[fault] += visible
        if visible and not caught:
            value = pair.grad(pair.x)[number]
            self.missed.append(f"{kind}: theta[{number}] = {value:.3g}, wrong by {delta:.3g}")

    def add_peers(self, fault: float, wrong: Flat, slow: bool) -> None:
        """Ask the peers about a wrong gradient."""
        for rule, accepted in peers.verdicts(wrong, slow).items():
            self.asked[rule, fault] += 1
            self.caught[rule, fault] += not accepted

    def rows(self) -> Iterator[str]:
        """Yield the table."""
        yield f"{'wrong by':26}" + "".join(f"{fault:>9.0e}" for fault in FAULTS)
        shares = [self.allowed[fault] / self.trials[fault] for fault in FAULTS]
        yield f"{'(visible to ours)':26}" + "".join(f"{share:>9.1%}" for share in shares)
        for fault in FAULTS:
            self.asked["ours", fault] = self.trials[fault]
        for rule in ("ours", *peers.RULES):
            cells = ""
            for fault in FAULTS:
                asked = self.asked[rule, fault]
                cells += f"{self.caught[rule, fault] / asked:>9.1%}" if asked else f"{'-':>9}"
            yield f"{rule:26}{cells}"
        yield "ours, by cost"
        for kind, caught in self.by_cost.items():
            trials = {fault: self.trials[fault] / len(COSTS) for fault in FAULTS}
            cells = "".join(f"{caught[fault] / trials[fault]:>9.1%}" for fault in FAULTS)
            yield f"  {kind:24}{cells}"


def main() -> int:
    """Print the table; return 1 where ours misses what it could have seen."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="3 trials of each")
    parser.add_argument("--trials", type=int, default=0, help="per cost and fault; default: 40")
    options = parser.parse_args()
    trials = options.trials or (3 if options.quick else 40)
    tally = Tally()
    for kind, make in COSTS.items():
        for trial in range(trials):
            for fault in FAULTS:
                rng = np.random.default_rng([trial, int(1e6 * fault), *kind.encode()])
                wrong = spoiled(make(rng), fault, rng)
                tally.add_ours(kind, fault, wrong)
                tally.add_peers(fault, wrong[0], slow=trial < trials // 10)
    print(f"share caught of {trials} faults of each size in each of {len(COSTS)} costs")
    print("\n".join(tally.rows()))
    print(f"\nours missed, of what it could have seen: {len(tally.missed)} (allowed: 0)")
    print("".join(f"    {line}\n" for line in tally.missed[:20]), end="")
    return int(bool(tally.missed))


if __name__ == "__main__":
    raise SystemExit(main())
