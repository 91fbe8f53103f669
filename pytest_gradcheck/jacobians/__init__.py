"""The check of a matrix of derivatives at a point: what `api` does for a gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_gradcheck.diagnosis.jacobian.laws import asymmetric, broken_laws
from pytest_gradcheck.jacobians.coloured import coloured_groups, coloured_table
from pytest_gradcheck.jacobians.columns import Work, full_columns, sampled_table
from pytest_gradcheck.jacobians.probed import is_matrix_probed, probed_table
from pytest_gradcheck.numdiff.jacobian.evaluator import VectorEvaluator
from pytest_gradcheck.problem.jacobian.matrices import OperatorMatrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.preflight import examined_matrix, refuse_changed_params
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.report.report import Finding, PointReport
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.entries import Table, judge_symmetry, tabled
from pytest_gradcheck.verdict.entries_report import EntryNames, Scope, entries_report

__all__ = ["MatrixTerms", "check_matrix"]


@dataclass(frozen=True)
class MatrixTerms:
    """What is the same for every point of a check."""

    settings: Settings
    seed: int
    progress: Progress


def check_matrix(point: str, pair: JacobianPair, terms: MatrixTerms) -> PointReport:
    """Check a Jacobian, a Hessian or a pushforward at the present theta."""
    here, matrix = examined_matrix(pair)
    names = EntryNames(
        lambda row, column: pair.entry_name(matrix.blocks, row, column),
        pair.output_name,
        pair.output_shape,
    )
    with np.errstate(all="ignore"):  # a step may leave the function's domain; that is our doing
        calls = VectorEvaluator(pair.prober(), pair.theta, here, terms.progress)
        work = Work(calls, pair, matrix, terms.settings, terms.seed)
        table, scope, found = _compared(work, names, point)
        if isinstance(matrix, OperatorMatrix):
            found += broken_laws(matrix, pair, point)
        refuse_changed_params(pair, "function")
        return entries_report(point, table, names, found, scope, terms.settings)


def _compared(
    work: Work, names: EntryNames, point: str
) -> tuple[Table, Scope, tuple[Finding, ...]]:
    """Compare in the way that the settings and the size ask for."""
    theta, m = work.theta, work.calls.here.size
    exact = np.zeros(m)
    groups = coloured_groups(work)
    if groups is not None:
        return coloured_table(work, groups), Scope(theta, m, True, exact), ()
    if is_matrix_probed(work):
        table, resolutions, found = probed_table(work, point)
        return table, Scope(theta, m, True, resolutions), found
    if work.settings.mode == "sample":
        return sampled_table(work), Scope(theta, m, False, exact), ()
    entries, judged = full_columns(work)
    found = ()
    if work.pair.is_symmetric and not work.pair.is_lower:
        judged = judge_symmetry(entries, judged, work.settings)
        found = asymmetric(entries, names, work.settings.suspect, point)
    return tabled(entries, judged), Scope(theta, m, True, exact), found
