"""gradcheck and check_gradients: the whole pipeline of a check, from the pair to the report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from pytest_gradcheck.context import Context, Extensions, current
from pytest_gradcheck.diagnosis import Clues, findings, in_sight, in_the_penalty
from pytest_gradcheck.diagnosis.domination import dominated
from pytest_gradcheck.errors import GradcheckWarning, ProblemError
from pytest_gradcheck.numdiff.batches import made_here
from pytest_gradcheck.numdiff.calls import InTurn
from pytest_gradcheck.numdiff.differences import (
    Approximation,
    approximate,
    classical,
    cost_noise,
    moves,
)
from pytest_gradcheck.numdiff.noise import Noise
from pytest_gradcheck.numdiff.probing import Probed, probed
from pytest_gradcheck.numdiff.sampling import chosen, is_probed
from pytest_gradcheck.numdiff.workers import Shared
from pytest_gradcheck.params.theta import FloatArray, Theta
from pytest_gradcheck.params.tree import Foreign
from pytest_gradcheck.problem.pair import Pair, frozen_calls
from pytest_gradcheck.problem.points import descend, starts
from pytest_gradcheck.problem.preflight import examined, refuse_changed, refuse_unreached
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.problem.randomness import (
    around_check,
    by_manager,
    disabled,
    without_penalty,
)
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.report.report import VERDICTS, GradientError, PointReport, Report
from pytest_gradcheck.settings import Settings, resolve
from pytest_gradcheck.verdict.canary import unnoticed
from pytest_gradcheck.verdict.comparison import joined, point_report
from pytest_gradcheck.verdict.judge import SUSPECT, judge

__all__ = ["GradCheck", "check_gradients", "check_problem", "gradcheck"]


PENALTY_OFF = ", penalty off"
"""What follows the name of a point that is looked at again without its penalty."""


class GradCheck:
    """Check a hand-written gradient against two-sided differences of its cost.

    ``gradcheck`` raises where the gradient is wrong; ``check_gradients`` only tells.

    Parameters
    ----------
    cost : callable
        Returns a number, or a tuple that begins with it.
    grad : callable or True
        The backprop; True where `cost` returns ``(cost, gradients, ...)``.
    params : object
        An array, a number, or any nesting of containers of them; or a callable ``params(rng)``
        that draws a random initialization.
    *args
        Further positional arguments of both functions.
    data : mapping, optional
        Arguments by name instead; either function takes those it names, the one required argument
        left over takes the params, and one named ``cache`` what the cost returned beside its value.
    **settings
        See `Settings`.

    Returns
    -------
    Report

    Raises
    ------
    GradientError
        Where a component is wrong (``gradcheck`` only).
    ProblemError
        Where the pair cannot be checked; its `code` says why.

    Examples
    --------
    >>> report = gradcheck(lambda x: float(x @ x), lambda x: 2 * x, np.array([1.0, 2.0]))
    >>> report.verdict
    'ok'
    """

    def __init__(self, raising: bool) -> None:
        self._raising = raising

    def __call__(
        self,
        cost: Callable[..., Any],
        grad: Callable[..., Any] | bool,
        params: Any,
        *args: Any,
        data: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> Report:
        """Check a cost and its gradient."""
        __tracebackhide__ = True
        return check_problem(Problem(cost, grad, params, args, data, settings), self._raising)

    def layer(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        *inputs: Any,
        **settings: Any,
    ) -> Report:
        """Check a layer: ``out, cache = forward(*inputs)``, gradients ``backward(dout, cache)``."""
        __tracebackhide__ = True
        return check_problem(Problem.layer(forward, backward, *inputs, **settings), self._raising)

    def vjp(self, f: Callable[..., Any], *inputs: Any, **settings: Any) -> Report:
        """Check a function that returns its pullback: ``out, pullback = f(*inputs)``."""
        __tracebackhide__ = True
        return check_problem(Problem.vjp(f, *inputs, **settings), self._raising)

    def __repr__(self) -> str:
        return "gradcheck" if self._raising else "check_gradients"


gradcheck = GradCheck(raising=True)
check_gradients = GradCheck(raising=False)


def check_problem(problem: Problem, raising: bool) -> Report:
    """Check a problem in the surroundings of the moment, and tell whoever listens."""
    __tracebackhide__ = True
    context = current()
    if raising and context.before is not None:
        context.before()
    try:
        report = _report(problem, context)
    except ProblemError as error:
        raise error.with_traceback(None)  # noqa: B904 - its cause is kept; our frames tell nothing
    if not report.passed:
        added = tuple(context.extensions.diagnose(report))
        report = replace(report, findings=(*added, *report.findings)) if added else report
    if context.receive is not None:
        context.receive(report)
    if raising and not report.passed:
        raise GradientError(report)
    if raising and report.verdict == "suspect":
        warnings.warn(_suspects(report), GradcheckWarning, stacklevel=3)
    return report


def _report(problem: Problem, context: Context) -> Report:
    settings, _ = resolve([*context.layers, ("call", problem.settings)])
    seed = context.seed if settings.seed is None else settings.seed
    data, switched_off = disabled(problem.data, settings.disable, settings.dropout == "freeze")
    points: list[PointReport] = []
    pairs: list[Pair] = []
    notes = [f"switched off: {said}" for said in (*switched_off, *by_manager(settings.dropout))]
    still, stilled = _still(problem, data, settings, context.extensions)
    notes += [f"switched off: the randomness of {name}" for name in stilled]
    places = _points(problem, data, settings, seed, pairs, notes, context.extensions.flatten)
    penalized: Approximation | None = None
    progress = Progress(context.watcher)
    # Closed at once on an exception: the user's arrays are put back before anyone sees it.
    with progress, around_check(settings.dropout), still, closing(places):
        try:
            for point, pair, unpenalized in places:
                sizes = partial(in_sight, problem, data, settings.regularization, pair.theta)
                clues = Clues(sizes, unpenalized)
                compared, numerical = _compared(
                    point, pair, settings, seed, context.canary, clues, progress
                )
                if penalized is not None and point.endswith(PENALTY_OFF):
                    whole = points[-1]
                    found = dominated(penalized, numerical, pair.theta.selected, whole.name)
                    points[-1] = replace(whole, findings=(*whole.findings, *found))
                points.append(compared)
                penalized = numerical
        except ProblemError as error:
            # A wrong gradient may well lead training astray; that it is wrong is what to tell.
            if all(point.passed for point in points):
                raise
            notes.append(f"not checked any further: {error}")
    points = in_the_penalty(points)
    return Report(
        passed=all(point.passed for point in points),
        verdict=max((point.verdict for point in points), key=VERDICTS.index),
        components=joined(points),
        findings=tuple(
            sorted((f for point in points for f in point.findings), key=lambda f: f.severity)
        ),
        evaluations=sum(pair.evaluations for pair in pairs),
        points=tuple(points),
        seed=seed,
        settings=settings,
        notes=tuple(notes),
        style=context.style,
    )


def _still(
    problem: Problem, data: Mapping[str, Any] | None, settings: Settings, extensions: Extensions
) -> tuple[ExitStack, list[str]]:
    """Return what switches off the randomness of models among the pair's objects, and whose."""
    stack, names = ExitStack(), []
    owners = [getattr(function, "__self__", None) for function in (problem.cost, problem.grad)]
    models = [*(data or {}).values(), *problem.args, *owners]
    for model in {id(model): model for model in models if model is not None}.values():
        manager = None if settings.dropout == "freeze" else extensions.still(model)
        if manager is not None:
            stack.enter_context(manager)
            names.append(type(model).__name__)
    return stack, names


def _points(
    problem: Problem,
    data: Mapping[str, Any] | None,
    settings: Settings,
    seed: int,
    pairs: list[Pair],
    notes: list[str],
    foreign: Foreign | None,
) -> Generator[tuple[str, Pair, Pair | None], None, None]:
    """Yield every point's name, and the pair with theta standing there; note it in `pairs`.

    A point with a penalty comes with its pair without, which is the next point.
    """
    around = frozen_calls(problem, data) if settings.dropout == "freeze" else None

    def paired(theta: Theta, at: Mapping[str, Any] | None) -> Pair:
        pair = Pair(problem, theta, at, settings, around)
        pairs.append(pair)
        return pair

    for start in starts(problem.params, settings, seed):
        theta = Theta(start.params, settings.inplace, settings.only, settings.exclude, foreign)
        with theta.guarded():
            for steps in (0, settings.train) if settings.train else (0,):
                name, pair = start.name, paired(theta, data)
                if steps:
                    name += f", after {steps} steps"
                    upward = descend(pair, settings, start.name)
                    notes += [upward] if upward else []
                without = without_penalty(data)
                unpenalized = None if without is None else paired(theta, without)
                yield name, pair, unpenalized
                if unpenalized is not None:
                    yield name + PENALTY_OFF, unpenalized, None


def _compared(
    point: str,
    pair: Pair,
    settings: Settings,
    seed: int,
    canary: bool,
    clues: Clues,
    progress: Progress,
) -> tuple[PointReport, Approximation]:
    """Check at the present theta; return the report, and the numerical gradient it rests on."""
    here, gradient = examined(pair)
    with np.errstate(all="ignore"):  # a probe may leave the cost's domain; that is our doing
        calls = _calls(pair, here, settings, progress)
        approximation, noise = _approximated(calls, pair, gradient, settings, seed)
        refuse_changed(pair, "cost")
        judgement = judge(approximation, gradient, pair.theta, settings)
        found = findings(approximation, gradient, judgement, pair, noise, point, clues, settings)
        if canary and judgement.verdicts.max() < SUSPECT:
            found += unnoticed(approximation, gradient, pair.theta, settings, point)
        return (
            point_report(point, approximation, gradient, judgement, found, pair.theta, settings),
            approximation,
        )


def _calls(pair: Pair, here: float, settings: Settings, progress: Progress) -> InTurn:
    """Return how the cost is called: in this process, or by workers."""
    calls = made_here(pair, here, settings, progress)
    return Shared(calls, pair, settings, progress) if settings.workers > 1 else calls


def _approximated(
    calls: InTurn, pair: Pair, gradient: FloatArray, settings: Settings, seed: int
) -> tuple[Approximation, Noise | None]:
    """Return the numerical gradient as the settings want it, and the noise of the cost."""
    theta = pair.theta
    if settings.eps is not None:
        approximation = classical(calls, chosen(theta, gradient, settings, seed), settings.eps)
        still = not np.any(approximation.values[approximation.checked])
        refuse_unreached(not still or moves(calls, seed), gradient, theta)
        return approximation, None
    noise = cost_noise(calls, seed)
    refuse_unreached(noise.moved, gradient, theta)
    found = Probed()
    if is_probed(theta, settings):
        rng = np.random.default_rng(seed)
        found = probed(calls, gradient, noise, settings, lambda: pair.evaluations, rng)
    numbers = chosen(theta, gradient, settings, seed, found.asked)
    return (
        approximate(calls, numbers, gradient, noise, settings.suspect, found.slopes, found.seen),
        noise,
    )


def _suspects(report: Report) -> str:
    count = sum(component.verdict == "suspect" for component in report.components)
    worst = report.components[0]
    return (
        f"{count} suspect components, the worst {worst.name} with a relative error of "
        f"{worst.relative_error:.1e}; they pass because fail_on is 'bug'"
    )
