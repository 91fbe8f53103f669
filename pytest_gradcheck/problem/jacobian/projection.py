"""Constrained parameters: changes are projected onto the allowed ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError, raised_as
from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Theta
from pytest_gradcheck.problem.layers import name_of

__all__ = ["Projection"]

ROUNDING = 1e-9
"""The relative tolerance of the laws of projections."""


class Projection:
    """The user's projection as a function of a vector over theta.

    Parameters
    ----------
    project : callable or mapping
        Takes a change of the params and returns the nearest one that is allowed; or one such
        function for each of some parameters, by their names.
    theta : Theta

    Raises
    ------
    ProblemError
        ``bad-setting`` where it is no orthogonal projection.
    """

    def __init__(
        self, project: Callable[[Any], Any] | Mapping[str, Callable[[Any], Any]], theta: Theta
    ) -> None:
        self._project, self._theta = project, theta
        self._name = name_of(project) if callable(project) else "project"
        self._refuse_unknown_names()
        self._refuse_others()

    def of(self, vector: FloatArray) -> FloatArray:
        """Return the nearest allowed change."""
        theta, project = self._theta, self._project
        parts = [p.shaped(vector[p.slice].copy()) for p in theta.parameters]
        if isinstance(project, Mapping):
            names = [p.name for p in theta.parameters]
            parts = [
                project[n](d) if n in project else d for n, d in zip(names, parts, strict=True)
            ]
            return flatten_gradient(theta.filled(parts), theta)
        with raised_as("bad-setting", self._expected):
            answer = project(theta.filled(parts))
        return flatten_gradient(answer, theta)

    def _expected(self, error: str) -> str:
        return (
            f"project={self._name} raised {error}; it takes a change in the structure of the "
            "params, or is a dict of functions by the names of parameters"
        )

    def _refuse_unknown_names(self) -> None:
        if not isinstance(self._project, Mapping):
            return
        names = [parameter.name for parameter in self._theta.parameters]
        for name in self._project:
            if name not in names:
                raise ProblemError(
                    "bad-setting", f"project={name!r} is no parameter; there are {', '.join(names)}"
                )

    def _refuse_others(self) -> None:
        """Refuse what is not linear, not symmetric, or not idempotent."""
        rng = stream("projection", 0)
        u, v = (rng.standard_normal(self._theta.base.size) for _ in range(2))
        pu, pv = self.of(u), self.of(v)
        size = float(np.linalg.norm(u) * np.linalg.norm(v))
        if not pu.any() and not pv.any():
            self._refuse("it allows no change at all: it returns 0")
        if abs(float(u @ pv) - float(pu @ v)) > ROUNDING * size:
            self._refuse(
                f"it is not symmetric: <u, project(v)> is {float(u @ pv):.6g} and <project(u), v> "
                f"is {float(pu @ v):.6g}, so it moves to another change than the nearest"
            )
        if np.linalg.norm(self.of(pv) - pv) > ROUNDING * np.linalg.norm(v):
            self._refuse("project(project(d)) is not project(d)")
        if np.linalg.norm(self.of(u - 2 * v) - (pu - 2 * pv)) > ROUNDING * np.linalg.norm(u):
            self._refuse("it is not linear: it takes a change of the params, and not the params")

    def _refuse(self, why: str) -> None:
        raise ProblemError("bad-setting", f"project={self._name} is no projection: {why}")
