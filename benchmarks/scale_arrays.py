"""A million parameters in 4 and in 150 arrays, with gradients over six decades among them.

A right gradient, some components wrong by 1 % of their array's root mean square, and an array that
is wrong as a whole: the calls of the cost that each takes, and what is named. Fewer calls than
these are required of ``mode="auto"``; peers that go component by component take two calls for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.settings import Mode

__all__ = ["ask_arrays"]

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

MOST = {"passing": 55, "probe": 30, 1: 80, 5: 200, 20: 600, 60: 1500, "whole": 300}
"""Calls that are allowed."""

SMALLEST_SHARE = 1e-5
"""Faults with a smaller part of the largest array's slope along a vector may hide: the resolution
that the report states says so."""


class Pair(NamedTuple):
    """A cost of many arrays, its gradient, and where it is checked."""

    cost: Callable[[Params], float]
    grad: Callable[[Params], Params]
    params: Params


def sines(size: int, arrays: int, decades: float, seed: int) -> Pair:
    """Return sums of sines with weights of an own size for each array, and the whole's square."""
    rng = np.random.default_rng([seed, size, arrays])
    sizes = np.maximum(8, (rng.dirichlet(np.ones(arrays)) * size).astype(int))
    sizes[np.argmax(sizes)] += size - sizes.sum()
    params = {f"p{k}": rng.normal(size=n) for k, n in enumerate(sizes)}
    scale = {name: 10 ** rng.uniform(-decades, 0) for name in params}
    weights = {name: scale[name] * rng.uniform(1, 2, x.size) for name, x in params.items()}
    coupling = 10.0 ** (-decades / 2) / size

    def cost(params: Params) -> float:
        total = sum(float(x.sum()) for x in params.values())
        terms = sum(float(weights[name] @ np.sin(x)) for name, x in params.items())
        return float(terms + coupling * total**2 / 2)

    def grad(params: Params) -> Params:
        total = coupling * sum(float(x.sum()) for x in params.values())
        return {name: weights[name] * np.cos(x) + total for name, x in params.items()}

    return Pair(cost, grad, params)


def checked(pair: Pair, gradient: Params, mode: Mode, seed: int) -> Report:
    return check_gradients(pair.cost, lambda params: gradient, pair.params, mode=mode, seed=seed)


def ask_arrays(size: int, seeds: int) -> list[str]:
    """Print a table of calls; return what is not as required."""
    wrong = []
    print(f"{size:,} components, {seeds} seeds: calls, the most of all seeds")
    for arrays in (4, 150):
        for decades in (0.0, 6.0):
            cells, found = _row(size, arrays, decades, seeds)
            print(f"{arrays:4} arrays, {decades:.0f} decades: " + ", ".join(cells), flush=True)
            wrong += [f"{arrays} arrays, {decades:.0f} decades: {line}" for line in found]
    return wrong


def _row(size: int, arrays: int, decades: float, seeds: int) -> tuple[list[str], list[str]]:
    cells, wrong = [], []
    pairs = [sines(size, arrays, decades, seed) for seed in range(seeds)]
    for name, mode in (("passing", "auto"), ("probe", "probe")):
        reports = [
            checked(pair, pair.grad(pair.params), mode, seed)  # type: ignore[arg-type]
            for seed, pair in enumerate(pairs)
        ]
        most = max(report.evaluations for report in reports)
        cells.append(f"{name} {most}")
        if most > MOST[name] or not all(report.passed for report in reports):
            wrong.append(f"{name}: {most} calls, or it fails")
    for count in (1, 5, 20, 60):
        named = [_named(pair, count, seed) for seed, pair in enumerate(pairs)]
        most, missed, false = np.array(named).max(axis=0)
        cells.append(f"{count} wrong {most}" + f" ({missed} unnamed)" * bool(missed))
        if most > MOST[count] or false or missed:
            wrong.append(f"{count} wrong: {most} calls, {missed} unnamed, {false} falsely named")
    wholes = [_whole(pair, seed) for seed, pair in enumerate(pairs)]
    most = max(calls for calls, _ in wholes)
    cells.append(f"a whole array {most}")
    if most > MOST["whole"] or not all(right for _, right in wholes):
        wrong.append(f"a whole array: {most} calls, or others are blamed")
    return cells, wrong


def _named(pair: Pair, count: int, seed: int) -> tuple[int, int, int]:
    """Return calls, and how many visible faults were not named, and how many components falsely."""
    rng = np.random.default_rng([seed, count])
    gradient = pair.grad(pair.params)
    typical = {name: float(np.sqrt(np.mean(g * g))) for name, g in gradient.items()}
    largest = max(typical[name] * np.sqrt(g.size) for name, g in gradient.items())
    names = list(gradient)
    sizes = np.array([g.size for g in gradient.values()])
    visible, all_wrong = set(), set()
    for place in rng.choice(int(sizes.sum()), count, replace=False).tolist():
        number = int(np.searchsorted(np.cumsum(sizes), place, "right"))
        index = place - int(sizes[:number].sum())
        fault = 0.01 * typical[names[number]]
        gradient[names[number]][index] += fault
        all_wrong.add((names[number], index))
        if fault > SMALLEST_SHARE * largest:
            visible.add((names[number], index))
    report = checked(pair, gradient, "auto", seed)
    bad = {(c.parameter, c.index[0]) for c in report.components if c.verdict in ("suspect", "bug")}
    return report.evaluations, len(visible - bad), len(bad - all_wrong)


def _whole(pair: Pair, seed: int) -> tuple[int, bool]:
    """Return the calls for an array that is twice too large, and whether it alone is blamed."""
    gradient = pair.grad(pair.params)
    name = list(gradient)[int(np.random.default_rng(seed).integers(len(gradient)))]
    gradient[name] *= 2
    report = checked(pair, gradient, "auto", seed)
    blamed = {p.name for p in report.parameters if p.verdict in ("suspect", "bug")}
    return report.evaluations, blamed == {name}
