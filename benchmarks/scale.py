"""What a check of up to ten million parameters costs, and the smallest fault that it sees.

Ours, by random directions, stands beside its peers in the same run:

* the rules of torch's fast mode, JAX and autograd, one direction each, as they are in `peers`;
* ``scipy.optimize.check_grad(direction="random")``. It leaves the verdict to its caller: once with
  the bound of 1e-5 that `peers` gives its other direction, and, where faults are looked for, once
  with the best that there could be, twice what it returns for the right gradient;
* the rule of torch's slow mode and SciPy's ``check_derivative``, which go component by component
  and whose calls grow with n, for as long as that is bearable.

The costs are a weighted sum of sines plus the square of the sum, at a random point, and the bundled
ReLU network on 32 examples. Five questions, and what is required of ours:

cost
    Of a right gradient: calls of the cost, time, and memory, in copies of theta: the most that is
    allocated beyond what there was before, in a run of its own under tracemalloc. Beside it what
    one call of the cost and one of the gradient allocate. At most 40 calls, and it passes. That of
    peers is that of their rules in NumPy, not of their frameworks.
search
    A few components of a million wrong by 1 %: all are named and no other, in at most 60, 200, 900
    and 3,000 calls for 1, 5, 20 and 60 of them. (A component whose gradient nearly vanishes hides
    one per cent of it below the resolution that the report states; those are counted apart.) Peers
    refuse at most.
smallest
    One component of typical size wrong by a relative 1e-6 to 1e4, in several places: from which
    size on it is always caught. A fault of twice the `resolution` that a passing report states,
    which is a relative error as reports have it, |a - n| / (|a| + |n|), is caught.
whole
    A whole array wrong, half of it, a row and a column of a matrix: it fails.
faster
    ``batched=True`` takes a tenth of the CPU time of a bare loop, for a classifier of seven layers
    and 486 parameters on 4 examples; ``workers=2`` is 1.6 times as fast as one for a cost of 5 ms.
    Beside it stands what a gradient takes that is twice too large, its diagnosis included.
arrays
    4 and 150 arrays, gradients over six decades among them: see `scale_arrays`.

Usage: ``python benchmarks/scale.py [--quick] [--only QUESTION ...]``; exits with 1 where something
that is required is not so.
"""

from __future__ import annotations

import argparse
import gc
import math
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import peers
from overhead import Array, Case, Params, bare, case, flattened, seconds
from peers import Flat
from scale_arrays import ask_arrays
from scipy.optimize import check_grad

from pytest_gradcheck import Report, check_gradients
from pytest_gradcheck.network import initialize
from pytest_gradcheck.settings import Mode

PASSING_CALLS = 40
SEARCH_CALLS = {1: 60, 5: 200, 20: 900, 60: 3000}
BATCHED_GAIN = 10.0
WORKERS_GAIN = 1.6
BARE_UP_TO = 10_000
"""The largest n at which what goes component by component is run."""


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes
    ----------
    sizes : tuple of int
        Components of the sums of sines.
    networks : tuple of tuple of int
        Widths of their layers.
    large : int
        Components of those in which faults are looked for.
    faulty : tuple of int
        How many of them are wrong.
    seeds : int
        Random choices of what is wrong.
    faults : tuple of float
        Relative sizes of one fault.
    places : int
        Components in which each of them is put.
    side : int
        Rows and columns of a matrix that is wrong in parts.
    rounds : int
        Runs over which times are taken.
    """

    sizes: tuple[int, ...] = (1000, 10_000, 100_000, 1_000_000, 10_000_000)
    networks: tuple[tuple[int, ...], ...] = (
        (64, 100, 34, 10),
        (784, 128, 10),
        (784, 1000, 200, 10),
    )
    large: int = 1_000_000
    faulty: tuple[int, ...] = (1, 5, 20, 60)
    seeds: int = 3
    faults: tuple[float, ...] = (
        *(float(f"{digit}e{power}") for power in range(-6, -2) for digit in (1, 3)),
        *(10.0**power for power in range(-2, 5)),
    )
    places: int = 4
    side: int = 1000
    rounds: int = 5


FULL = Plan()
QUICK = replace(
    FULL,
    sizes=(1000, 100_000),
    networks=FULL.networks[:1],
    large=100_000,
    faulty=(1, 5, 20),
    seeds=1,
    faults=FULL.faults[::2],
    places=2,
    side=300,
    rounds=3,
)


class Problem(NamedTuple):
    """A pair in the two shapes it is asked for in: parameters by name, and one vector."""

    case: Case
    flat: Flat


class Fault(NamedTuple):
    """Components of a parameter that are wrong, and what the right ones are multiplied by."""

    parameter: str
    numbers: npt.NDArray[np.intp]
    factor: float


def sum_of_sines(size: int) -> Flat:
    """Return a weighted sum of sines plus the square of the sum, at a random point."""
    rng = np.random.default_rng(size)
    w, x = rng.uniform(1, 2, size), rng.normal(size=size)
    return Flat(
        lambda x: float(w @ np.sin(x) + x.sum() ** 2 / (2 * size)),
        lambda x: w * np.cos(x) + x.sum() / size,
        x,
    )


def sines(size: int) -> Problem:
    """Return such a sum as a problem of one parameter."""
    flat = sum_of_sines(size)
    cost, grad, x = flat
    by_name = Case("sines", lambda p: cost(p["x"]), lambda p: {"dx": grad(p["x"])}, {"x": x})
    return Problem(by_name, flat)


def network(widths: tuple[int, ...]) -> Problem:
    """Return the bundled network as a problem."""
    net = case("bundled ReLU net", widths)
    return Problem(net, Flat(*flattened(net)))


def matrix(side: int) -> Case:
    """Return the sum of two sums of sines, one of a matrix and one of a vector."""
    (cost, grad, x), (other_cost, other_grad, b) = sum_of_sines(side**2), sum_of_sines(side)
    return Case(
        "matrix",
        lambda p: cost(p["W"].ravel()) + other_cost(p["b"]),
        lambda p: {"dW": grad(p["W"].ravel()).reshape(side, side), "db": other_grad(p["b"])},
        {"W": x.reshape(side, side), "b": b},
    )


def spoiled(right: Case, fault: Fault) -> Case:
    """Return the pair with some components of one parameter's gradient wrong."""

    def grad(params: Params) -> Params:
        grads = right.grad(params)
        grads[f"d{fault.parameter}"].reshape(-1)[fault.numbers] *= fault.factor
        return grads

    return right._replace(grad=grad)


def spoiled_vector(right: Flat, fault: Fault) -> Flat:
    """Return the same for a sum of sines as one vector."""

    def grad(x: Array) -> Array:
        gradient = right.grad(x)
        gradient[fault.numbers] *= fault.factor
        return gradient

    return right._replace(grad=grad)


def probe(pair: Case, seed: int) -> Report:
    """Check a pair by random directions."""
    return check_gradients(pair.cost, pair.grad, pair.params, mode="probe", seed=seed)


def figure_of_scipy(flat: Flat) -> float:
    """Return what ``check_grad`` returns for a random direction: forward, at a step of 1.5e-8."""
    rng = np.random.default_rng(peers.RNG_SEED)
    return float(check_grad(flat.cost, flat.grad, flat.x, direction="random", rng=rng))


def scipy_random(flat: Flat) -> bool:
    """Accept where it is 1e-5 at most."""
    return figure_of_scipy(flat) <= 1e-5


Rule = Callable[[Flat], bool]
ALONG: dict[str, Rule] = {
    "torch gradcheck, fast": peers.torch_fast,
    "jax check_grads": peers.jax,
    "autograd check_grads": peers.autograd,
    "scipy check_grad, random": scipy_random,
}
BY_COMPONENT: dict[str, Rule] = {
    "torch gradcheck": peers.torch_slow,
    "scipy check_derivative": peers.scipy_check_derivative,
}


def rules(right: Flat) -> dict[str, Rule]:
    """Return the peers' rules, with the best bound for SciPy's figure that there could be."""
    bound = 2 * figure_of_scipy(right)
    return {**ALONG, "    with the best bound": lambda flat: figure_of_scipy(flat) <= bound}


def share(count: int, whole: int) -> str:
    """Return so many of a whole as text."""
    return f"{count}/{whole}"


class Counted:
    """A cost that counts its calls."""

    def __init__(self, cost: Callable[[Any], float]) -> None:
        self._cost = cost
        self.calls = 0

    def __call__(self, params: Any) -> float:
        """Return the cost."""
        self.calls += 1
        return self._cost(params)


class Spent(NamedTuple):
    """What a check took, and whether it passed; bytes are the most that it allocated."""

    calls: int
    seconds: float
    bytes: int
    passed: bool


def timed(run: Callable[[], object]) -> float:
    """Return the time on the clock that a run takes."""
    start = perf_counter()
    run()
    return perf_counter() - start


def peak(run: Callable[[], object]) -> int:
    """Return how many bytes a run allocates at most, beyond what there was before."""
    gc.collect()
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def spent(check: Callable[[Callable[[Any], float]], bool], cost: Callable[[Any], float]) -> Spent:
    """Return what a check takes, as a function of the cost."""
    counted = Counted(cost)
    gc.collect()
    start = perf_counter()
    passed = check(counted)
    taken = perf_counter() - start
    return Spent(counted.calls, taken, peak(lambda: check(cost)), passed)


def of_ours(problem: Problem, mode: Mode) -> Spent:
    """Return what ours takes."""
    _, cost, grad, params = problem.case
    return spent(lambda cost: check_gradients(cost, grad, params, mode=mode, seed=0).passed, cost)


def of_peer(problem: Problem, rule: Rule) -> Spent:
    """Return what the rule of a peer takes."""
    flat = problem.flat
    return spent(lambda cost: rule(flat._replace(cost=cost)), flat.cost)


def ask_cost(plan: Plan) -> list[str]:
    """Print what a check of a right gradient takes, and return what is not as required."""
    print("a right gradient; memory in copies of theta")
    print(f"{'check':28}{'calls':>8}{'seconds':>10}{'memory':>8}  verdict")
    wrong = []
    for size in plan.sizes:
        wrong += cost_of(sines(size))
    for widths in plan.networks:
        wrong += cost_of(network(widths))
    return wrong


def cost_of(problem: Problem) -> list[str]:
    """Print the part of the table for one problem."""
    name, cost, grad, params = problem.case
    size, title = problem.case.size, f"{name}, n = {problem.case.size:,}"
    alone = [one_call(partial(function, params), size) for function in (cost, grad)]
    print(f"{title}; a call of the cost: {alone[0]}; of the gradient: {alone[1]}")
    modes: tuple[Mode, ...] = ("probe", "auto")
    ours = {mode: of_ours(problem, mode) for mode in modes}
    for mode, taken in ours.items():
        print(cost_row(f"ours, {mode}", taken, size), flush=True)
    for rule, accepts in (ALONG | (BY_COMPONENT if size <= 1.1 * BARE_UP_TO else {})).items():
        print(cost_row(rule, of_peer(problem, accepts), size), flush=True)
    wrong = [f"{title}: ours, {mode}, fails" for mode, it in ours.items() if not it.passed]
    calls = ours["probe"].calls
    return wrong + ([f"{title}: {calls} calls"] if calls > PASSING_CALLS else [])


def one_call(call: Callable[[], object], size: int) -> str:
    """Return what a call takes by itself, as text."""
    taken = min(timed(call) for _ in range(3))
    return f"{taken:.2g} s, {peak(call) / (8 * size):.1f} copies"


def cost_row(name: str, taken: Spent, size: int) -> str:
    """Return a row of the table."""
    verdict = "accepts" if taken.passed else "refuses"
    copies = taken.bytes / (8 * size)
    return f"  {name:26}{taken.calls:>8}{taken.seconds:>10.3f}{copies:>8.1f}  {verdict}"


def ask_search(plan: Plan) -> list[str]:
    """Print how many of a few faults are named, and return what is not as required."""
    problem = sines(plan.large)
    print(f"components wrong by 1 % among {plan.large:,}: ours, by random choice of them")
    print(
        f"{'wrong':>7}{'named':>8}{'hidden':>8}{'falsely':>9}{'calls':>8}{'allowed':>9}{'seconds':>10}"
    )
    wrong, faults = [], []
    for count in plan.faulty:
        for seed in range(plan.seeds):
            rng = np.random.default_rng([seed, count])
            numbers = np.sort(rng.choice(plan.large, count, replace=False))
            faults.append(Fault("x", numbers, 1.01))
            wrong += search_row(problem.case, faults[-1], seed)
    print("and how often peers refuse")
    print(f"{'':28}{'right':>8}" + "".join(f"{count:>8}" for count in plan.faulty))
    for rule, accepts in rules(problem.flat).items():
        refused = [not accepts(spoiled_vector(problem.flat, fault)) for fault in faults]
        by_count = np.reshape(refused, (len(plan.faulty), plan.seeds)).sum(axis=1)
        cells = "".join(f"{share(count, plan.seeds):>8}" for count in by_count)
        right = share(int(not accepts(problem.flat)), 1)
        print(f"  {rule:26}{right:>8}{cells}", flush=True)
    return wrong


def search_row(right: Case, fault: Fault, seed: int) -> list[str]:
    """Print what ours makes of a few faults, and return what is not as required."""
    start = perf_counter()
    report = probe(spoiled(right, fault), seed)
    taken = perf_counter() - start
    named, true = named_by(report, right), {(fault.parameter, int(i)) for i in fault.numbers}
    count, most, calls = len(true), SEARCH_CALLS[len(true)], report.evaluations
    found, falsely = len(named & true), len(named - true)
    hidden = {place for place in true - named if is_hidden(right, fault, place, report)}
    print(
        f"{count:>7}{found:>8}{len(hidden):>8}{falsely:>9}{calls:>8}{most:>9}{taken:>10.1f}",
        flush=True,
    )
    if named == true - hidden and calls <= most and not report.passed:
        return []
    return [
        f"{count} of {right.size:,} wrong, seed {seed}: {found} named, {falsely} falsely, "
        f"{calls} calls; missed: {missed_of(right, fault, true - named) or 'none'}"
    ]


def is_hidden(right: Case, fault: Fault, place: tuple[str, int], report: Report) -> bool:
    """Return whether a fault is smaller than the resolution that the report states."""
    name, number = place
    gradient = right.grad(right.params)[f"d{name}"].reshape(-1)
    (resolution,) = (p.resolution for p in report.parameters if p.name == name)
    usual = math.sqrt(float(np.mean(gradient**2)))
    off = abs((fault.factor - 1) * float(gradient[number]))
    return off / (off + 2 * usual) < resolution


def missed_of(right: Case, fault: Fault, missed: set[tuple[str, int]]) -> str:
    """Return what was missed, as text: of what size, beside the usual one, it is off."""
    gradient = right.grad(right.params)[f"d{fault.parameter}"].reshape(-1)
    usual = math.sqrt(float(np.mean(gradient**2)))
    return ", ".join(
        f"{name}[{number}] = {gradient[number]:.2g}, "
        f"off by {abs((fault.factor - 1) * gradient[number]) / usual:.1g} of the usual size"
        for name, number in sorted(missed)
    )


def named_by(report: Report, pair: Case) -> set[tuple[str, int]]:
    """Return the components that a report calls wrong, by parameter and number."""
    return {
        (c.parameter, int(np.ravel_multi_index(c.index, pair.params[c.parameter].shape)))
        for c in report.components
        if c.verdict in ("suspect", "bug")
    }


def ask_smallest(plan: Plan) -> list[str]:
    """Print the smallest fault that is caught, and return what is not as required."""
    problem = sines(plan.large)
    numbers = typical(problem.case, "x", plan.places)
    print(f"one component of {plan.large:,} wrong, in {plan.places} places: smallest relative size")
    print(f"{'':28}{'right':>9}{'sometimes':>11}{'always':>9}{'always named':>14}")
    shares, named = np.transpose([ours_at(problem, numbers, fault) for fault in plan.faults])
    right = "accepts" if probe(problem.case, 0).passed else "refuses"
    print(f"  {'ours':26}{right:>9}{smallest(shares, plan):>20}{least(named, plan):>14}")
    for rule, accepts in rules(problem.flat).items():
        if not accepts(problem.flat):
            print(f"  {rule:26}{'refuses':>9}{'-':>11}{'-':>9}", flush=True)
            continue
        caught = [peers_share(problem.flat, accepts, numbers, fault) for fault in plan.faults]
        print(f"  {rule:26}{'accepts':>9}{smallest(caught, plan):>20}", flush=True)
    return ask_resolution(plan)


def typical(pair: Case, parameter: str, count: int) -> npt.NDArray[np.intp]:
    """Return some components whose gradients are nearest to the root mean square of all."""
    gradient = pair.grad(pair.params)[f"d{parameter}"].reshape(-1)
    away = np.abs(np.abs(gradient) - math.sqrt(float(np.mean(gradient**2))))
    near = np.argsort(away)[: max(count, gradient.size // 20)]
    return np.random.default_rng(gradient.size).choice(near, count, replace=False)


def ours_at(problem: Problem, numbers: npt.NDArray[np.intp], fault: float) -> tuple[float, float]:
    """Return in what share of places ours catches a fault, and in what share it names it."""
    caught = named = 0
    for seed, number in enumerate(numbers):
        wrong = spoiled(problem.case, Fault("x", np.array([number]), 1 + fault))
        report = probe(wrong, seed)
        caught += not report.passed
        named += named_by(report, problem.case) == {("x", int(number))}
    return caught / len(numbers), named / len(numbers)


def peers_share(flat: Flat, accepts: Rule, numbers: npt.NDArray[np.intp], fault: float) -> float:
    """Return in what share of places the rule of a peer catches a fault."""
    wrong = (spoiled_vector(flat, Fault("x", np.array([i]), 1 + fault)) for i in numbers)
    return float(np.mean([not accepts(pair) for pair in wrong]))


def smallest(shares: npt.ArrayLike, plan: Plan) -> str:
    """Return from which size on faults are caught in some place, and in all, as two columns."""
    shown = np.asarray(shares)
    some = np.flatnonzero(shown)
    first = f"{plan.faults[some[0]]:.0e}" if some.size else "never"
    return f"{first:>11}{least(shown, plan):>9}"


def least(shares: npt.ArrayLike, plan: Plan) -> str:
    """Return from which size on faults are caught in all places."""
    short = np.flatnonzero(np.asarray(shares) < 1)
    first = short[-1] + 1 if short.size else 0
    return f"{plan.faults[first]:.0e}" if first < len(plan.faults) else "never"


def ask_resolution(plan: Plan) -> list[str]:
    """Print whether faults of the resolution that a report states, and twice it, are caught."""
    print("faults of the stated resolution, and of twice that, in components of typical size")
    print(f"{'parameter':34}{'resolution':>12}{'at 1':>8}{'at 2':>8}")
    within = [size for size in plan.sizes if size <= plan.large]
    pairs = [sines(size).case for size in within] + [network(w).case for w in plan.networks]
    return [line for pair in pairs for line in resolution_of(pair, plan.places)]


def resolution_of(pair: Case, places: int) -> list[str]:
    """Print whether that of one pair is honest, and return where it is not."""
    wrong = []
    for parameter in probe(pair, 0).parameters:
        name, resolution = parameter.name, parameter.resolution
        title = f"{pair.name}, n = {pair.size:,}: {name}"
        numbers = typical(pair, name, min(places, parameter.size))
        missed = {
            times: [i for i in numbers if passes_with(pair, name, int(i), times * resolution)]
            for times in (1, 2)
        }
        cells = "".join(
            f"{share(len(numbers) - len(some), len(numbers)):>8}" for some in missed.values()
        )
        print(f"  {title:32}{resolution:>12.1e}{cells}", flush=True)
        wrong += [
            f"{title}[{i}] wrong by twice the resolution of {resolution:.1e} passes"
            for i in missed[2]
        ]
    return wrong


def passes_with(pair: Case, name: str, number: int, error: float) -> bool:
    """Return whether a check passes though a component has that relative error."""
    fault = Fault(name, np.array([number]), (1 + error) / (1 - error))
    return probe(spoiled(pair, fault), seed=number).passed


def ask_whole(plan: Plan) -> list[str]:
    """Print what is said of arrays that are wrong in large parts; return what is not required."""
    pair, side = matrix(plan.side), plan.side
    everything = np.arange(side**2).reshape(side, side)
    parts = {
        "all of W": everything.ravel(),
        "half of W": everything[: side // 2].ravel(),
        "a row of W": everything[side // 3],
        "a column of W": everything[:, side // 3],
    }
    print(f"W of shape {(side, side)} and b of {side}: parts of W wrong")
    print(
        f"{'wrong':16}{'factor':>8}{'calls':>8}{'seconds':>9}  verdict, components named, finding"
    )
    wrong = []
    for part, numbers in parts.items():
        for factor in (1.01, 2.0, -1.0):
            wrong += whole_row(pair, part, Fault("W", numbers, factor))
    return wrong


def whole_row(pair: Case, part: str, fault: Fault) -> list[str]:
    """Print what ours makes of a part that is wrong, and return what is not as required."""
    start = perf_counter()
    report = probe(spoiled(pair, fault), seed=0)
    taken = perf_counter() - start
    named, wrong = named_by(report, pair), {("W", int(i)) for i in fault.numbers}
    found = f"{report.findings[0].code}: {report.findings[0].message}" if report.findings else "-"
    print(
        f"{part:16}{fault.factor:>8g}{report.evaluations:>8}{taken:>9.1f}  "
        f"{report.verdict}, {len(named)} ({len(named - wrong)} falsely), {found}",
        flush=True,
    )
    title = f"{part} times {fault.factor:g}"
    return ([f"{title} passes"] if report.passed else []) + (
        [f"{title}: {sorted(named - wrong)[:5]} named falsely"] if named - wrong else []
    )


def ask_faster(plan: Plan) -> list[str]:
    """Print what batched costs and workers gain, and return what is not as required."""
    return ask_batched(plan) + ask_workers(plan)


def batched_cost(params: Mapping[str, Array], X: Array, Y: Array, lambd: float) -> Any:
    """Return the cost of a ReLU classifier with a penalty, of one theta or of many."""
    A, depth, m = X, len(params) // 2, X.shape[-1]
    for layer in range(1, depth + 1):
        Z = params[f"W{layer}"] @ A + params[f"b{layer}"]
        A = np.maximum(Z, 0)
    top = Z.max(axis=-2, keepdims=True)
    total = np.log(np.sum(np.exp(Z - top), axis=-2)) + top[..., 0, :]
    data = np.sum(total - np.sum(Y * Z, axis=-2), axis=-1) / m
    squares = [np.sum(params[f"W{layer}"] ** 2, axis=(-2, -1)) for layer in range(1, depth + 1)]
    return data + lambd / (2 * m) * sum(squares)


def classifier_backprop(params: Params, X: Array, Y: Array, lambd: float) -> Params:
    """Return the gradient of one theta."""
    inputs, sums, depth, m = [X], [], len(params) // 2, X.shape[-1]
    for layer in range(1, depth + 1):
        sums.append(params[f"W{layer}"] @ inputs[-1] + params[f"b{layer}"])
        inputs.append(np.maximum(sums[-1], 0))
    exps = np.exp(sums[-1] - sums[-1].max(axis=0))
    dZ = (exps / exps.sum(axis=0) - Y) / m
    grads: Params = {}
    for layer in range(depth, 0, -1):
        W = params[f"W{layer}"]
        grads[f"dW{layer}"] = dZ @ inputs[layer - 1].T + lambd / m * W
        grads[f"db{layer}"] = dZ.sum(axis=1, keepdims=True)
        dZ = W.T @ dZ * (sums[layer - 2] > 0) if layer > 1 else dZ
    return grads


def classifier(examples: int) -> Case:
    """Return a classifier of seven layers and 486 parameters, whose cost takes many thetas."""
    widths = (9, 9, 9, 8, 8, 8, 6, 4)
    rng = np.random.default_rng(examples)
    params = initialize(widths, rng)
    for array in params.values():
        array += 0.1 * rng.normal(size=array.shape)
    X = rng.normal(size=(widths[0], examples))
    Y = np.eye(widths[-1])[:, rng.integers(widths[-1], size=examples)]
    value = partial(batched_cost, X=X, Y=Y, lambd=0.1)
    slope = partial(classifier_backprop, X=X, Y=Y, lambd=0.1)
    return Case("classifier", value, slope, params)


def ask_batched(plan: Plan) -> list[str]:
    """Print the CPU time of a full check of a batched cost, over that of a bare loop."""
    print(f"CPU time of a bare two-sided loop, and of one full check of {classifier(1).size}")
    print("parameters, over that of a full check in batches")
    print(f"{'examples':>8}{'bare':>10}{'check':>10}{'bare, over that of a wrong one':>32}")
    wrong = []
    for examples in (1, 4, 16):
        net = classifier(examples)
        ratios: list[tuple[float, float, float]] = []
        for _ in range(4 * plan.rounds):
            loop, check = seconds(bare, net), seconds(full, net)
            taken = seconds(partial(full, batched=True), net)
            ratios.append((loop / taken, check / taken, loop / seconds(wrong_in_batches, net)))
        gain, over, of_wrong = np.median(ratios, axis=0)
        print(f"{examples:>8}{gain:>10.2f}{over:>10.2f}{of_wrong:>32.2f}", flush=True)
        if examples == 4 and gain < BATCHED_GAIN:
            wrong.append(f"batched: {gain:.1f} times as fast as the bare loop at 4 examples")
    return wrong


def full(pair: Case, **settings: Any) -> None:
    """Check every component of a pair."""
    report = check_gradients(pair.cost, pair.grad, pair.params, **settings)
    assert report.passed, str(report)


def wrong_in_batches(pair: Case) -> None:
    """Check every component in batches, with a gradient that is twice too large."""

    def twice(params: Params) -> Params:
        return {name: 2 * array for name, array in pair.grad(params).items()}

    report = check_gradients(pair.cost, twice, pair.params, batched=True, locate=False)
    assert not report.passed


def slow_cost(params: Params, shifts: Array) -> float:
    """Return the mean of sums of sines, of arrays too small for more than one thread."""
    return float(sum(np.sum(np.sin(params["x"] + shift)) for shift in shifts) / shifts.size)


def slow_gradient(params: Params, shifts: Array) -> Params:
    """Return its gradient."""
    return {"dx": np.mean([np.cos(params["x"] + shift) for shift in shifts], axis=0)}


def slow_pair(duration: float) -> Case:
    """Return a pair of 200 parameters whose cost takes about so many seconds."""
    params = {"x": np.random.default_rng(0).normal(size=200)}
    shifts = np.linspace(0, 1, 1000)
    taken = min(timed(partial(slow_cost, params, shifts)) for _ in range(5))
    shifts = np.linspace(0, 1, max(2, round(1000 * duration / taken)))
    return Case(
        "slow", partial(slow_cost, shifts=shifts), partial(slow_gradient, shifts=shifts), params
    )


def ask_workers(plan: Plan) -> list[str]:
    """Print the time of a full check with two workers beside that with one, the best of some.

    The first run with two starts them, and joblib keeps them for the next. Other work on the
    machine takes away the second core, and with it what there is to gain.
    """
    pair = slow_pair(0.005)
    first = timed(partial(full, pair, workers=2))
    rounds = [
        [timed(partial(full, pair, workers=workers)) for workers in (1, 2)]
        for _ in range(plan.rounds)
    ]
    one, two = np.min(rounds, axis=0)
    print(f"a cost of 5 ms, {pair.size} parameters: {one:.2f} s with one worker, {two:.2f} s with")
    print(f"two ({first:.2f} s the first time): {one / two:.2f} times as fast")
    return [f"two workers: {one / two:.2f} times as fast"] if one / two < WORKERS_GAIN else []


QUESTIONS: dict[str, Callable[[Plan], list[str]]] = {
    "cost": ask_cost,
    "search": ask_search,
    "smallest": ask_smallest,
    "whole": ask_whole,
    "faster": ask_faster,
    "arrays": lambda plan: ask_arrays(plan.large, plan.seeds),
}


def main() -> int:
    """Print the tables; return 1 where something is not as required."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="up to 100,000 components")
    parser.add_argument("--only", nargs="+", choices=list(QUESTIONS), default=list(QUESTIONS))
    options = parser.parse_args()
    probe(sines(100).case, seed=0)  # a first run, for imports and caches
    wrong = []
    for name in options.only:
        start = perf_counter()
        wrong += QUESTIONS[name](QUICK if options.quick else FULL)
        print(f"({perf_counter() - start:.0f} s)\n", flush=True)
    print(f"not as required: {len(wrong)} (allowed: 0)")
    print("".join(f"    {line}\n" for line in wrong), end="")
    return int(bool(wrong))


if __name__ == "__main__":
    raise SystemExit(main())
