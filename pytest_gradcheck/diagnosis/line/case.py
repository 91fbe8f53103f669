"""What the search for a line starts from: a pair whose gradient is wrong."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.marks import Faults
from pytest_gradcheck.diagnosis.line.perturb import Cost
from pytest_gradcheck.params.theta import FloatArray
from pytest_gradcheck.problem.pair import Pair
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.judge import Verdict

__all__ = ["Case", "case_of"]


@dataclass(frozen=True)
class Case:
    """A pair whose gradient is wrong, at theta as it stands.

    Attributes
    ----------
    functions : tuple
        The user's functions.
    cost : Cost
    gradient : callable
        Returns the analytic gradient, laid out like theta.
    faults : Faults
    parameters : tuple of str
        Those whose gradient is wrong.
    calls : int
        Calls of the cost that the check has made.
    seconds : float
        What it took.
    """

    functions: tuple[Any, ...]
    cost: Cost
    gradient: Callable[[], FloatArray]
    faults: Faults
    parameters: tuple[str, ...]
    calls: int
    seconds: float


def case_of(pair: Pair, comparison: Comparison, seconds: float) -> Case:
    """Return the results of a check in the form that the search needs."""
    approximation, theta = comparison.approximation, comparison.theta
    is_wrong = comparison.judgement.verdicts >= Verdict.SUSPECT
    faults = Faults(
        comparison.gradient,
        approximation.values,
        approximation.error_bars,
        approximation.checked,
        is_wrong,
        {parameter.start: parameter.name for parameter in theta.selected},
    )
    call = pair.prober()
    cost = Cost(call, call(), 0.0 if comparison.noise is None else comparison.noise.level)
    names = tuple(p.name for p in theta.selected if np.any(is_wrong[p.slice]))
    details = pair.problem.details
    outputs = details.get("outputs")

    def gradient() -> FloatArray:
        with nullcontext() if outputs is None else outputs.upstream.plainly():
            return pair.gradient_after_cost() if pair.theta.inplace else pair.gradient()

    functions = (pair.problem.cost, pair.problem.grad, *details.get("functions", ()))
    return Case(functions, cost, gradient, faults, names, pair.evaluations, seconds)
