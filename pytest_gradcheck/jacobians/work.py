"""What a check of a matrix works with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.numdiff.jacobian.columns import random_weights
from pytest_gradcheck.numdiff.jacobian.evaluator import VectorEvaluator
from pytest_gradcheck.numdiff.jacobian.noise import OutputNoise, measure_outputs
from pytest_gradcheck.numdiff.ladder import EPSILON
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.problem.jacobian.matrices import Matrix
from pytest_gradcheck.problem.jacobian.pair import JacobianPair
from pytest_gradcheck.problem.jacobian.projection import Projection
from pytest_gradcheck.settings import Settings

__all__ = ["Work"]


@dataclass(frozen=True)
class Work:
    """What a check of a matrix works with.

    Attributes
    ----------
    calls : VectorEvaluator
        Evaluates the function.
    pair : JacobianPair
    matrix : Matrix
        The user's.
    settings : Settings
    seed : int
        Of random choices.
    """

    calls: VectorEvaluator
    pair: JacobianPair
    matrix: Matrix
    settings: Settings
    seed: int

    @property
    def theta(self) -> Theta:
        """The parameters of the function and the matrix."""
        return self.calls.theta

    @cached_property
    def projection(self) -> Projection | None:
        """The projection onto allowed changes of the parameters; None if all are allowed."""
        project = self.settings.project
        return None if project is None else Projection(project, self.theta)

    @property
    def known_noise(self) -> OutputNoise | None:
        """The noise, where the settings let it be measured."""
        return None if self.settings.eps is not None else self.noise

    @cached_property
    def noise(self) -> OutputNoise:
        """The noise of every output along one random direction.

        Raises
        ------
        ProblemError
            ``unreached-params`` if no output moves though the matrix is not zero. It counts as zero
            if it changes outputs of their size by less than rounding: saturated units leave 1e-50.
        """
        weights = random_weights(self.theta, self.seed, "noise of outputs")
        weights = weights if self.projection is None else self.projection.of(weights)
        noise = measure_outputs(self.calls, weights, self.settings.noise)
        changes = np.abs(self.matrix.along(weights)).max(initial=0.0)
        if not noise.moved.any() and changes > EPSILON * noise.magnitudes.max(initial=0.0):
            raise ProblemError(
                "unreached-params",
                "no output moves with the parameters, though the matrix is not zero: if the object "
                "owns its arrays, hand over those arrays and say inplace=True; else the function "
                "must use the parameters that it is given",
            )
        return noise
