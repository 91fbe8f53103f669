"""The check of a matrix of derivatives at a point, as `api` checks a gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from pytest_gradcheck.diagnosis import Clues, numbers_in_sight
from pytest_gradcheck.diagnosis.jacobian.causes import matrix_causes
from pytest_gradcheck.diagnosis.jacobian.caveats import matrix_caveats
from pytest_gradcheck.diagnosis.jacobian.evidence import scene_of
from pytest_gradcheck.diagnosis.jacobian.laws import asymmetric, asymmetric_pairs, broken_laws
from pytest_gradcheck.errors import Guard
from pytest_gradcheck.jacobians.coloured import coloured_groups, coloured_table
from pytest_gradcheck.jacobians.columns import full_columns, sampled_table
from pytest_gradcheck.jacobians.probed import is_large, is_matrix_probed, probed_table
from pytest_gradcheck.jacobians.work import Work
from pytest_gradcheck.numdiff.jacobian.evaluator import VectorEvaluator
from pytest_gradcheck.problem.jacobian.matrices import OperatorMatrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.preflight import examined_matrix
from pytest_gradcheck.problem.preflight import refuse_changed
from pytest_gradcheck.progress import Progress
from pytest_gradcheck.report.report import Finding, PointReport
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.jacobian.canary import unnoticed_in_matrix
from pytest_gradcheck.verdict.jacobian.entries import Table, judge_symmetry, tabled
from pytest_gradcheck.verdict.jacobian.report import EntryNames, Scope, entries_report
from pytest_gradcheck.verdict.judge import Verdict
from pytest_gradcheck.verdict.pictures import entries_picture

__all__ = ["MatrixTerms", "check_matrix"]


@dataclass(frozen=True)
class MatrixTerms:
    """The parts of a check that all its points share."""

    settings: Settings
    seed: int
    canary: bool
    progress: Progress


@dataclass(frozen=True)
class MatrixResult:
    """The result of a check at one point, and notes on errors of the diagnosis."""

    report: PointReport
    notes: tuple[str, ...]


def check_matrix(point: str, pair: JacobianPair, terms: MatrixTerms) -> MatrixResult:
    """Check a Jacobian, a Hessian or a pushforward at the present theta."""
    outputs0, matrix = examined_matrix(pair, terms.settings.noise)
    names = EntryNames(
        lambda row, column: pair.entry_name(matrix.blocks, row, column),
        pair.output_name if pair.has_outputs else None,
        pair.output_shape,
    )
    with np.errstate(all="ignore"):  # our step may leave the function's domain
        calls = VectorEvaluator(pair.prober(), pair.theta, outputs0, terms.progress)
        work = Work(calls, pair, matrix, terms.settings, terms.seed)
        table, scope, found = _compared(work, names, point)
        if isinstance(matrix, OperatorMatrix):
            found += broken_laws(matrix, pair, point)
        refuse_changed(pair.theta, "function")
        guard = Guard()
        if table.codes.max(initial=0) >= Verdict.SUSPECT:
            found = _with_causes(found, work, table, point, guard)
        elif terms.canary:
            found += unnoticed_in_matrix(table, work.theta, terms.settings.suspect, point)
        with guard.of("the warnings"):
            found += matrix_caveats(table, work.theta, work.known_noise, pair.output_name, point)
        report = entries_report(point, table, names, found, scope, terms.settings)
    report = replace(report, picture=partial(entries_picture, table, pair.theta, outputs0.size))
    return MatrixResult(report, tuple(guard.notes))


def _with_causes(
    found: tuple[Finding, ...], work: Work, table: Table, point: str, guard: Guard
) -> tuple[Finding, ...]:
    """Return the causes from the pattern of errors, then the other findings."""
    pair = work.pair
    numbers = partial(numbers_in_sight, pair.problem, pair.data, None, work.theta)
    with guard.of("the diagnosis"):
        scene = scene_of(table, pair, work.known_noise, point, Clues(numbers, guard=guard))
        asymmetric_ = any(finding.code == "asymmetric" for finding in found)
        return (*matrix_causes(replace(scene, is_asymmetric=asymmetric_), point), *found)
    return found


def _compared(
    work: Work, names: EntryNames, point: str
) -> tuple[Table, Scope, tuple[Finding, ...]]:
    """Compare by the method that the settings and the size choose."""
    theta, m = work.theta, work.calls.outputs0.size
    exact = np.zeros(m)
    groups = coloured_groups(work)
    if groups is not None:
        table, found = coloured_table(work, groups, point)
        if work.pair.is_symmetric:
            n = theta.base.size
            table, laws = asymmetric_pairs(table, names, n, work.settings, point)
            found += laws
        return table, Scope(theta, m, True, exact), found
    if is_matrix_probed(work):
        table, seen, found = probed_table(work, point)
        return table, Scope(theta, m, True, seen.by_output, seen.by_parameter), found
    if work.settings.mode == "sample" or is_large(work):
        return sampled_table(work), Scope(theta, m, False, exact), ()
    entries, judged = full_columns(work)
    found = ()
    if work.pair.is_symmetric and not work.pair.is_lower and work.projection is None:
        wrong = judged.codes >= Verdict.SUSPECT
        judged = judge_symmetry(entries, judged, work.settings)
        found = asymmetric(entries, wrong, names, work.theta, work.settings.suspect, point)
    return tabled(entries, judged), Scope(theta, m, True, exact), found
