"""The evidence of a diagnosis of a matrix: its entries and their approximations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pytest_gradcheck.diagnosis.evidence import Clues, Evidence, ParameterEvidence
from pytest_gradcheck.numdiff.differences import Approximation
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise
from pytest_gradcheck.numdiff.ladder import Kind
from pytest_gradcheck.params.theta import Indices, Parameter, Theta
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.settings import Settings
from pytest_gradcheck.verdict.comparison import Comparison
from pytest_gradcheck.verdict.jacobian.entries import Table
from pytest_gradcheck.verdict.judge import Judgement, Verdict

__all__ = ["MatrixPart", "Scene", "scene_of"]

CLEAR = 1e-3
"""The widest relative error bar of an entry that counts as right."""

EXACT = 1e-9
"""The relative precision of a matrix that was computed in float64."""

SINGLE = 1e-5
"""The same in float32."""

CLASSICAL = 1e-6
"""The relative error bar assumed in the classical check, which has none."""

COARSE = 1e-9
"""Relative noise of the outputs from which on the matrix is assumed as coarse."""

NONE: Indices = np.zeros(0, np.intp)


@dataclass(frozen=True)
class MatrixPart(ParameterEvidence):
    """Some entries of a matrix, in the order of its rows.

    Attributes
    ----------
    rows, columns : int arrays
        The output and the component of theta of each entry.
    """

    rows: Indices = field(default_factory=lambda: NONE)
    columns: Indices = field(default_factory=lambda: NONE)

    def of(self, kept: npt.NDArray[np.bool_], name: str, shape: tuple[int, ...]) -> MatrixPart:
        """Return some of the entries as a part."""
        return MatrixPart(
            parameter=_named(name, shape, int(np.count_nonzero(kept))),
            theta=self.theta[kept],
            analytic=self.analytic[kept],
            numerical=self.numerical[kept],
            bars=self.bars[kept],
            known=self.known[kept],
            wrong=self.wrong[kept],
            right=self.right[kept],
            precision=self.precision,
            rows=self.rows[kept],
            columns=self.columns[kept],
        )


def _named(name: str, shape: tuple[int, ...], size: int) -> Parameter:
    return Parameter(name, shape, 0, size, np.dtype(np.float64), False)


@dataclass(frozen=True)
class Scene:
    """A matrix with wrong entries, and the facts about it.

    Attributes
    ----------
    whole : MatrixPart
        All entries that were compared; in the shape of the matrix if these are all.
    theta : Theta
    evidence : Evidence
        For rules that look at numbers in sight.
    matrix_name, numerical_name : str
        The names of the user's matrix and of its approximation in messages.
    output_name : callable
    is_symmetric : bool
        Whether it is a Hessian.
    is_asymmetric : bool
        Whether it is a Hessian that is not symmetric, which has a finding already.
    """

    whole: MatrixPart
    theta: Theta
    evidence: Evidence
    matrix_name: str
    numerical_name: str
    output_name: Callable[[int], str]
    is_symmetric: bool
    is_asymmetric: bool = False

    @cached_property
    def n_outputs(self) -> int:
        """The number of rows that were compared."""
        return int(self.whole.rows.max(initial=-1)) + 1

    @cached_property
    def wrong_parameters(self) -> tuple[str, ...]:
        """The names of the parameters that have a wrong entry."""
        owners = np.unique(self.theta.owners(self.whole.columns[self.whole.wrong]))
        return tuple(self.theta.parameters[number].name for number in owners.tolist())

    def component_name(self, number: int) -> str:
        """Return the expression by which a user reads a component of theta."""
        parameter = self.theta.owner(number)
        return parameter.component_name(parameter.index(number))


def scene_of(
    table: Table, pair: JacobianPair, noise: OutputNoise | None, point: str, clues: Clues
) -> Scene:
    """Return the scene of a table of entries."""
    table = table.ordered()
    whole = _whole(table, pair, noise)
    approximation = Approximation(
        table.values,
        table.bars,
        np.zeros(table.codes.size, np.int8),
        slice(0, table.codes.size),
        {},
    )
    judgement = Judgement(table.codes, table.errors, table.errors)
    comparison = Comparison(approximation, table.analytic, judgement, pair.theta, Settings())
    evidence = Evidence(comparison, cast(Any, pair), point, clues)
    return Scene(
        whole,
        pair.theta,
        evidence,
        pair.derivative_label,
        pair.numerical_name,
        pair.output_name,
        pair.is_symmetric,
    )


def _whole(table: Table, pair: JacobianPair, noise: OutputNoise | None) -> MatrixPart:
    known = np.isfinite(table.values) & np.isfinite(table.analytic) & np.isfinite(table.bars)
    known &= (table.codes != Verdict.KINK) & (table.kinds != Kind.KINK)
    size = np.abs(table.values) + np.abs(table.analytic)
    with np.errstate(all="ignore"):
        right = known & (table.codes == Verdict.OK) & (table.bars < CLEAR * size)
    rows, columns = np.unique(table.outputs), np.unique(table.numbers)
    shape: tuple[int, ...] = (rows.size, columns.size)
    if rows.size * columns.size != table.codes.size:
        shape = (table.codes.size,)
    return MatrixPart(
        _named(pair.derivative_label, shape, table.codes.size),
        pair.theta.base[table.numbers],
        table.analytic,
        table.values,
        table.bars,
        known,
        known
        & (table.codes >= Verdict.SUSPECT)
        & (np.abs(table.values - table.analytic) > table.bars),
        right,
        _precision(table, right, noise),
        rows=table.outputs,
        columns=table.numbers,
    )


def _precision(table: Table, right: npt.NDArray[np.bool_], noise: OutputNoise | None) -> float:
    """Return the relative precision of the user's matrix, or of its approximation where coarser.

    Float32 where its numbers say so or the noise does; else what its right entries show.
    """
    analytic = table.analytic[np.isfinite(table.analytic)]
    with np.errstate(all="ignore"):
        single = bool(np.all(analytic.astype(np.float32) == analytic)) and analytic.size > 3
    if single and not np.all(analytic == np.round(analytic)):
        return SINGLE
    if noise is not None and float(np.median(noise.relative)) > COARSE:
        return SINGLE
    off = np.abs(table.values - table.analytic)[right] - table.bars[right]
    size = (np.abs(table.values) + np.abs(table.analytic))[right]
    least = EXACT if noise is not None else CLASSICAL
    return float(np.clip(4 * (off / size).max(initial=0.0), least, SINGLE))
