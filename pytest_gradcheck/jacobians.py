"""The check of a Jacobian or a Hessian at a point: what `api` does for a gradient, for a matrix."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.jacobian.laws import asymmetric, broken_laws
from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.jacobian.evaluator import Direction, VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise, measure_outputs
from pytest_gradcheck.numdiff.jacobian.slopes import approximate_slopes, classical_slopes
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Numbers, Theta
from pytest_gradcheck.problem.jacobian.matrices import Matrix, OperatorMatrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.preflight import examined_matrix, refuse_changed_params
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.report.report import Finding, PointReport
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.entries import (
    Entries,
    EntryNames,
    entries_report,
    judge_entries,
    judge_symmetry,
)

__all__ = ["MatrixTerms", "check_matrix"]


@dataclass(frozen=True)
class MatrixTerms:
    """What is the same for every point of a check."""

    settings: Settings
    seed: int
    progress: Progress


def check_matrix(point: str, pair: JacobianPair, terms: MatrixTerms) -> PointReport:
    """Check a Jacobian at the present theta."""
    settings = terms.settings
    here, matrix = examined_matrix(pair)
    names = EntryNames(
        lambda row, column: pair.entry_name(matrix.blocks, row, column),
        pair.output_name,
        pair.output_shape,
    )
    with np.errstate(all="ignore"):  # a step may leave the function's domain; that is our doing
        calls = VectorEvaluator(pair.prober(), pair.theta, here, terms.progress)
        entries = _compared(calls, pair, matrix, settings, terms.seed)
        judged = judge_entries(entries, settings)
        found: tuple[Finding, ...] = ()
        if pair.is_symmetric and not pair.is_lower:
            judged = judge_symmetry(entries, judged, settings)
            found += asymmetric(entries, names, settings.suspect, point)
        if isinstance(matrix, OperatorMatrix):
            found += broken_laws(matrix, pair, point)
    refuse_changed_params(pair, "function")
    return entries_report(point, entries, judged, names, found, settings)


def _compared(
    calls: VectorEvaluator,
    pair: JacobianPair,
    matrix: Matrix,
    settings: Settings,
    seed: int,
) -> Entries:
    """Return the matrix beside its approximation, one direction a component."""
    theta = pair.theta
    numbers = np.concatenate([np.arange(p.start, p.stop) for p in theta.selected])
    sizes = [parameter.size for parameter in theta.selected]
    starts = tuple(int(start) for start in np.cumsum([0, *sizes[:-1]]))
    analytic = matrix.columns(numbers)
    asked = _asked(pair, numbers)
    if asked is not None:
        analytic[~asked] = 0.0
    directions = _components(theta, numbers)
    if settings.eps is not None:
        slopes = classical_slopes(calls, directions, settings.eps)
    else:
        noise = _noise(calls, settings, seed)
        refuse_unreached(noise, analytic)
        slopes = approximate_slopes(
            calls, directions, analytic, noise, settings.suspect, starts, asked
        )
    return Entries(numbers, theta.selected, starts, analytic, slopes, asked)


def _asked(pair: JacobianPair, numbers: Numbers) -> npt.NDArray[np.bool_] | None:
    """Return which entries are compared, of shape (k, m); None where all are.

    Of a Hessian the rows of the checked parameters, and perhaps the lower triangle alone.
    """
    if not pair.is_symmetric or not (pair.is_lower or numbers.size < pair.theta.base.size):
        return None
    rows = np.flatnonzero(pair.theta.is_selected)
    asked = np.zeros((numbers.size, pair.theta.base.size), np.bool_)
    asked[:, rows] = rows[None, :] >= numbers[:, None] if pair.is_lower else True
    return asked


def _components(theta: Theta, numbers: Numbers) -> list[Direction]:
    """Return one direction for each component."""
    unit, length = np.ones(1), lengths(theta)
    return [
        Direction(slice(number, number + 1), unit, float(length[number]))
        for number in numbers.tolist()
    ]


def _noise(calls: VectorEvaluator, settings: Settings, seed: int) -> OutputNoise:
    """Measure the noise of every output along one random direction, scaled to the parameters."""
    theta = calls.theta
    rng = stream("noise of outputs", seed)
    weights = rng.uniform(0.5, 1.5, theta.base.size) * rng.choice([-1.0, 1.0], theta.base.size)
    weights *= lengths(theta)
    weights[~theta.is_selected] = 0.0
    return measure_outputs(calls, weights)


def refuse_unreached(noise: OutputNoise, analytic: FloatArray) -> None:
    """Raise ``unreached-params`` where no output moves though the Jacobian is not zero."""
    if noise.moved.any() or not analytic.any():
        return
    raise ProblemError(
        "unreached-params",
        "no output moves with the parameters, though the matrix is not zero: if the object owns "
        "its arrays, hand over those arrays and say inplace=True; else the function must use the "
        "parameters that it is given",
    )
