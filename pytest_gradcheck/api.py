"""gradcheck and check_gradients: the whole pipeline of a check, from the pair to the report."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pytest_gradcheck.context import Context, current
from pytest_gradcheck.diagnosis import Clues, distinct_findings, findings, numbers_in_sight
from pytest_gradcheck.diagnosis.line import case_of, line_of
from pytest_gradcheck.diagnosis.twins import blamed_on_penalty, dominated
from pytest_gradcheck.errors import GradcheckWarning, Guard, ProblemError
from pytest_gradcheck.jacobians import MatrixTerms, check_matrix
from pytest_gradcheck.numdiff.differences import (
    Approximation,
    Comparand,
    approximate,
    classical,
)
from pytest_gradcheck.numdiff.evaluators import SerialEvaluator
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.numdiff.noise.lines import cost_noise, moves
from pytest_gradcheck.numdiff.probing import Probed, probed
from pytest_gradcheck.numdiff.sampling import chosen, is_probed
from pytest_gradcheck.numdiff.workers import evaluator_for
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray
from pytest_gradcheck.problem.layers.outputs import with_outputs
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.problem.points import Point, prepared
from pytest_gradcheck.problem.preflight import (
    examined,
    refuse_changed,
    refuse_undefined,
    refuse_unreached,
)
from pytest_gradcheck.problem.problem import Problem
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.report.report import VERDICTS, GradientError, PointReport, Report, badness
from pytest_gradcheck.settings import Settings, SettingsKeywords, resolve
from pytest_gradcheck.verdict.canary import unnoticed
from pytest_gradcheck.verdict.comparison import Comparison, compare
from pytest_gradcheck.verdict.judge import Verdict
from pytest_gradcheck.verdict.pictures import error_curve, gradient_picture
from pytest_gradcheck.verdict.point_report import joined, point_report

if sys.version_info >= (3, 11):
    from typing import Unpack
elif TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["GradCheck", "check_gradients", "check_problem", "gradcheck"]


class GradCheck:
    """Check a hand-written gradient against two-sided differences of its cost.

    ``gradcheck`` raises where the gradient is wrong; ``check_gradients`` returns the report.

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
        The verdict on every component.

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
        **settings: Unpack[SettingsKeywords],
    ) -> Report:
        """Check a cost and its gradient."""
        __tracebackhide__ = True
        return check_problem(Problem(cost, grad, params, args, data, settings), self._raising)

    def layer(
        self,
        forward: Any,
        *backward_and_inputs: Any,
        **settings: Unpack[SettingsKeywords],
    ) -> Report:
        """Check a layer by its forward and its backward pass.

        Parameters
        ----------
        forward : callable or object
            The forward pass, ``out, cache = forward(*inputs)``; or a layer object, which has both
            passes, and arrays with their gradients as attributes. Those are checked in place.
        *backward_and_inputs
            ``backward(dout, cache)``, which returns the gradients of the inputs, then the inputs;
            of an object the inputs alone.
        **settings
            See `Settings`.

        Returns
        -------
        Report
            The verdict on every component.
        """
        __tracebackhide__ = True
        problem = Problem.layer(forward, *backward_and_inputs, **settings)
        return check_problem(problem, self._raising)

    def vjp(
        self,
        f: Callable[..., Any],
        *inputs: Any,
        primal: Callable[..., Any] | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> Report:
        """Check a function that returns its pullback, as JAX's vjp does.

        Parameters
        ----------
        f : callable
            Returns ``out, pullback``; ``pullback(dout)`` returns the gradients of the inputs.
        *inputs
            Those of `f`.
        primal : callable, optional
            Returns `out` alone. `out` of `f` has to equal it, and the pullback to have its slopes.
        **settings
            See `Settings`.

        Returns
        -------
        Report
            The verdict on every component.
        """
        __tracebackhide__ = True
        return check_problem(Problem.vjp(f, *inputs, primal=primal, **settings), self._raising)

    def autograd(
        self, f: Callable[..., Any], *inputs: Any, **settings: Unpack[SettingsKeywords]
    ) -> Report:
        """Check the gradient that a framework's reverse mode makes of a function of its tensors.

        Parameters
        ----------
        f : callable
            A function or a module of PyTorch, JAX (``custom_vjp`` included), HIPS autograd,
            mygrad, micrograd or tinygrad, with custom backward passes.
        *inputs
            Those of `f`.
        **settings
            See `Settings`.

        Returns
        -------
        Report
            The verdict on every component.
        """
        __tracebackhide__ = True
        return check_problem(Problem.autograd(f, *inputs, **settings), self._raising)

    def jacobian(
        self,
        fun: Callable[..., Any],
        jac: Callable[..., Any] | bool,
        params: Any,
        *args: Any,
        data: Mapping[str, Any] | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> Report:
        """Check the Jacobian of a function of many outputs.

        Parameters
        ----------
        fun : callable
            Returns an array of any shape, a list of numbers, or a nesting of arrays.
        jac : callable or True
            Returns a matrix of outputs by parameters (dense, ``scipy.sparse``, or an object with
            ``shape`` and ``matvec``), an array of ``out.shape + params.shape``, or a structure like
            `params` with leaves of ``out.shape + leaf.shape``; True where `fun` returns
            ``(out, jac)``.
        params, *args, data, **settings
            As for a gradient.

        Returns
        -------
        Report
            Its components are entries, ``jac[3, 12]``, each with its `output`.

        Examples
        --------
        >>> A = np.array([[1.0, 2.0], [3.0, 4.0]])
        >>> gradcheck.jacobian(lambda x: A @ x**2, lambda x: 2 * A * x, np.ones(2)).verdict
        'ok'
        """
        __tracebackhide__ = True
        problem = Problem.jacobian(fun, jac, params, *args, data=data, **settings)
        return check_problem(problem, self._raising)

    def hessian(
        self,
        grad: Callable[..., Any],
        hess: Callable[..., Any] | bool,
        params: Any,
        *args: Any,
        data: Mapping[str, Any] | None = None,
        lower: bool = False,
        **settings: Unpack[SettingsKeywords],
    ) -> Report:
        """Check the Hessian of a cost against differences of its gradient, and its symmetry.

        Parameters
        ----------
        grad : callable
            Returns the gradient, like `params` or as one vector.
        hess : callable or True
            Returns the Hessian in any form of a Jacobian; True where `grad` returns both.
        params, *args, data, **settings
            As for a gradient.
        lower : bool
            Compare the lower triangle only, as of a Hessian for solvers that read no other.

        Returns
        -------
        Report
            The verdict on every component.
        """
        __tracebackhide__ = True
        problem = Problem.hessian(grad, hess, params, *args, data=data, lower=lower, **settings)
        return check_problem(problem, self._raising)

    def jvp(
        self,
        f: Callable[..., Any],
        jvp: Callable[..., Any],
        *inputs: Any,
        vjp: Callable[..., Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> Report:
        """Check a pushforward, ``tangent = jvp(x, dx)``, and that it is linear in the tangent.

        Parameters
        ----------
        f : callable
            Returns an array, or a nesting of arrays. The gradient, where `jvp` is SciPy's
            ``hessp``.
        jvp : callable
            With several inputs ``jvp(x, w, dx, dw)``, or as JAX has it ``jvp((x, w), (dx, dw))``,
            which returns ``(out, tangent)``.
        *inputs
            Those of `f`; or callables ``x(rng)`` that draw them.
        vjp : callable, optional
            The pullback, ``vjp(x, dout)``, which has to be the adjoint of `jvp`.
        data : mapping, optional
            Further arguments by name: each function takes those it names.
        **settings
            See `Settings`.

        Returns
        -------
        Report
            The verdict on every component.
        """
        __tracebackhide__ = True
        problem = Problem.jvp(f, jvp, *inputs, vjp=vjp, data=data, **settings)
        return check_problem(problem, self._raising)

    def __repr__(self) -> str:
        return "gradcheck" if self._raising else "check_gradients"


gradcheck = GradCheck(raising=True)
check_gradients = GradCheck(raising=False)


def check_problem(problem: Problem, raising: bool) -> Report:
    """Check a problem in the current context, and pass its report to the context's listeners."""
    __tracebackhide__ = True
    context = current()
    if raising and context.on_start is not None:
        context.on_start()
    try:
        report = _report(problem, context)
    except ProblemError as error:
        raise error.with_traceback(None)  # noqa: B904 - its cause is kept; our frames tell nothing
    if not report.passed:
        added = tuple(context.extensions.diagnose(report))
        report = replace(report, findings=(*added, *report.findings)) if added else report
    if context.on_report is not None:
        context.on_report(report)
    if raising and not report.passed:
        raise GradientError(report)
    if raising and report.verdict == "suspect":
        warnings.warn(_suspects(report), GradcheckWarning, stacklevel=3)
    return report


class _Terms(NamedTuple):
    """The parts of a check that all its points share."""

    settings: Settings
    seed: int
    canary: bool
    draws: bool
    progress: Progress


class _Result(NamedTuple):
    """The result of a check at one point."""

    point: Point
    report: PointReport
    comparison: Comparison
    notes: tuple[str, ...]
    at: FloatArray
    cost: float
    seconds: float


def _report(problem: Problem, context: Context) -> Report:
    began = perf_counter()
    settings, _ = resolve([*context.sources, ("call", problem.settings)])
    seed = context.seed if settings.seed is None else settings.seed
    with (
        Progress(context.listener) as progress,
        prepared(problem, settings, seed, context.extensions) as points,
    ):
        if problem.form == "gradient" and settings.project is None:
            point_terms = _Terms(settings, seed, context.canary, context.draws, progress)
            results, cut_short = _results(points, point_terms)
            reports = _reports(results)
            notes = (*(note for result in results for note in result.notes), *cut_short)
        else:
            terms = MatrixTerms(settings, seed, context.canary, progress)
            matrices = [check_matrix(name, pair, terms) for name, pair in points.matrices()]
            reports = tuple(result.report for result in matrices)
            notes = tuple(note for result in matrices for note in result.notes)
    return Report(
        passed=all(report.passed for report in reports),
        verdict=max((report.verdict for report in reports), key=VERDICTS.index),
        components=joined(reports),
        findings=distinct_findings(reports),
        evaluations=points.evaluations,
        points=reports,
        seed=seed,
        settings=settings,
        notes=(*points.notes, *notes),
        seconds=perf_counter() - began,
        style=context.style,
    )


def _results(points: Iterable[Point], terms: _Terms) -> tuple[list[_Result], tuple[str, ...]]:
    """Check at every point; return the results, and a note if the walk ended early."""
    results: list[_Result] = []
    cut_short: tuple[str, ...] = ()
    try:
        for point in points:
            results.append(_checked(point, terms))
    except ProblemError as error:
        # A wrong gradient may lead training astray: report the gradient, not the training.
        if all(result.report.passed for result in results):
            raise
        cut_short = (f"not checked any further: {error}",)
    return _with_line(results) if terms.settings.locate else results, cut_short


def _reports(results: Sequence[_Result]) -> tuple[PointReport, ...]:
    """Return the reports of all points; those with a penalty are compared with their twins."""
    twins = {id(result.point.penalized): result for result in results}
    return tuple(_beside_twin(result, twins.get(id(result.point))) for result in results)


def _beside_twin(whole: _Result, twin: _Result | None) -> PointReport:
    """Return the report of a point, with the findings from its twin without the penalty."""
    if twin is None:
        return whole.report
    parameters = whole.point.pair.theta.selected
    found = dominated(
        whole.comparison.approximation, twin.comparison.approximation, parameters, whole.point.name
    )
    report = replace(whole.report, findings=(*whole.report.findings, *found))
    return blamed_on_penalty(report, twin.report)


def _checked(point: Point, terms: _Terms) -> _Result:
    """Check at the present theta."""
    began, pair, settings = perf_counter(), point.pair, terms.settings
    cost0, gradient, again = examined(pair, settings.noise)
    with np.errstate(all="ignore"):  # our steps may leave the cost's domain
        evaluator = evaluator_for(pair, cost0, settings, terms.progress)
        comparand = Comparand.of(gradient, settings.suspect, pair.theta, again)
        approximation = _approximated(evaluator, pair, comparand, settings, terms.seed)
        noise = approximation.noise
        refuse_changed(pair.theta, "cost")
        comparison = compare(pair, evaluator, approximation, gradient, noise, settings)
        clues = _clues(point)
        found = findings(comparison, pair, point.name, clues)
        if terms.canary and comparison.judgement.verdicts.max() < Verdict.SUSPECT:
            found += unnoticed(comparison, point.name)
        curve = error_curve(evaluator, comparison) if terms.draws else None
        picture = partial(gradient_picture, comparison, curve)
        report = point_report(point.name, comparison, found, picture)
        report = with_outputs(report, pair.problem.details.get("outputs"), pair.theta.tree)
    notes, seconds = (*point.notes, *clues.guard.notes), perf_counter() - began
    return _Result(point, report, comparison, notes, pair.theta.base, cost0, seconds)


def _with_line(results: list[_Result]) -> list[_Result]:
    """Add the line at which the error enters to the report of the worst point where one is seen.

    A network that owns its arrays may have replaced them since: then the next point is tried.
    """
    failed = [
        number
        for number, result in enumerate(results)
        if not result.report.passed and VERDICTS.index(result.report.verdict) >= Verdict.SUSPECT
    ]
    for number in sorted(failed, key=lambda n: badness(results[n].report), reverse=True):
        located = _located(results[number])
        if located is not None:
            return [*results[:number], located, *results[number + 1 :]]
    return results


def _located(result: _Result) -> _Result | None:
    """Return a result with its line added; None if the cost has changed since."""
    guard, report, pair = Guard(), result.report, result.point.pair
    with guard.of("the search for the line"), pair.theta.guarded():
        pair.theta.move_base(result.at)
        case = case_of(pair, result.comparison, result.seconds)
        if not case.cost.is_at(result.cost):
            return None
        report = replace(report, findings=(*report.findings, *line_of(case, report.name)))
    return result._replace(report=report, notes=(*result.notes, *guard.notes))


def _clues(point: Point) -> Clues:
    """Return the clues of a diagnosis beside the gradients: numbers in sight, and the twin."""
    pair = (point.penalized or point).pair
    numbers = partial(numbers_in_sight, pair.problem, pair.data, pair.penalty, pair.theta)
    return Clues(numbers, point.unpenalized)


def _approximated(
    evaluator: SerialEvaluator, pair: Pair, comparand: Comparand, settings: Settings, seed: int
) -> Approximation:
    """Return the numerical gradient by the method that the settings choose."""
    theta, gradient = pair.theta, comparand.gradient
    if settings.eps is not None:
        approximation = classical(evaluator, chosen(theta, gradient, settings, seed), settings.eps)
        still = not np.any(approximation.values[approximation.checked])
        moved = not still or moves(evaluator, seed)
        refuse_unreached(moved, gradient, theta, evaluator.cost0)
        return approximation
    noise = cost_noise(evaluator, seed, settings.noise)
    refuse_unreached(noise.moved, gradient, theta, noise.magnitude)
    while True:
        found = Probed(noise)
        if is_probed(theta, settings):
            rng = stream("directions", seed)
            found = probed(evaluator, gradient, noise, settings, lambda: pair.evaluations, rng)
        numbers = chosen(theta, gradient, settings, seed, found.asked)
        approximation = approximate(
            evaluator, numbers, comparand, found.noise, found.slopes, found.seen
        )
        louder = approximation.noise
        if not found.seen or louder is None or louder.level <= found.noise.level:
            break
        noise = louder
    if not approximation.is_smooth:
        refuse_undefined(pair, np.flatnonzero(approximation.of_kind(Kind.NONFINITE)))
    return approximation


def _suspects(report: Report) -> str:
    count = sum(component.verdict == "suspect" for component in report.components)
    worst = report.components[0]
    return (
        f"{count} suspect components, the worst {worst.name} with a relative error of "
        f"{worst.relative_error:.1e}; they pass because fail_on is 'bug'"
    )
