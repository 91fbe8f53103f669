"""Pushforwards as matrices: ``tangent = jvp(x, dx)`` is a Jacobian times a vector.

Two call forms are known: ``jvp(x, w, dx, dw)``, of which SciPy's ``hessp(x, p)`` is one; and JAX's
``jvp((x, w), (dx, dw))``, which returns ``(out, tangent)``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError, raised_as, wishes
from pytest_gradcheck.params.theta import FloatArray, Parameter, Theta
from pytest_gradcheck.problem.binding import accepts
from pytest_gradcheck.problem.layers import name_of

__all__ = ["DOUBLE", "Pushforward", "pulled_back"]

JAX = ("primals", "tangents")
"""Usual names of the two arguments of a ``jax.custom_jvp`` rule."""

DOUBLE = 53
"""Binary digits of float64."""

Read = Callable[[Any], FloatArray]
"""Lays a tangent of the outputs out as one vector."""


class Pushforward:
    """The user's pushforward as a function of one vector over theta.

    Parameters
    ----------
    jvp : callable
    theta : Theta
        The inputs, by their names.
    read : callable
        Lays a tangent of the outputs out as one vector.
    """

    def __init__(self, jvp: Callable[..., Any], theta: Theta, read: Read) -> None:
        self._jvp, self._theta, self._read = jvp, theta, read
        count = len(theta.tree)
        self._together = _takes_tuples(jvp, count)
        self._goes_without = (
            theta.inplace and not accepts(jvp, 2 * count) and accepts(jvp, count) and count != 2
        )

    def __call__(self, vector: FloatArray) -> FloatArray:
        """Return the tangent of all outputs along a vector over theta.

        Raises
        ------
        ProblemError
            ``gradient-raised``, or a code for a wrong answer.
        """
        inputs = tuple(self._theta.tree.values())
        tangents = tuple(self._tangents(vector).values())
        returned = self._returned(inputs, tangents)
        if isinstance(returned, tuple) and len(returned) == 2:
            try:
                return self._read(returned[1])
            except ProblemError:
                return self._read(returned)
        return self._read(returned)

    def _returned(self, inputs: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
        __tracebackhide__ = True
        with raised_as("gradient-raised", self._call_forms):
            if self._together:
                return self._jvp(inputs, tangents)
            if self._goes_without:
                return self._jvp(*tangents)
            try:
                return self._jvp(*inputs, *tangents)
            except ProblemError:
                raise
            except wishes():
                raise
            except Exception as error:
                if len(inputs) > 1:
                    raise
                return self._of_tuples(inputs, tangents, error)

    def _call_forms(self, error: str) -> str:
        return (
            f"{name_of(self._jvp)} raised {error}; it is called as "
            "jvp(x, dx), with several inputs jvp(x, w, dx, dw), or jvp((x, w), (dx, dw))"
        )

    def _of_tuples(
        self, inputs: tuple[Any, ...], tangents: tuple[Any, ...], first: Exception
    ) -> Any:
        """Return the answer to tuples of one input and one tangent, or raise `first`."""
        try:
            returned = self._jvp(inputs, tangents)
        except wishes():
            raise
        except Exception:
            raise first  # noqa: B904 - the usual call is the one that is meant
        self._together = True
        return returned

    def _tangents(self, vector: FloatArray) -> dict[str, Any]:
        """Return a vector over theta in the structure of the inputs; 0 for what is held fixed."""
        return tangents_like(self._theta, vector)


def tangents_like(theta: Theta, vector: FloatArray) -> dict[str, Any]:
    """Return a vector over theta in the structure of the inputs; 0 for what is held fixed."""
    leaves = [_tangent(p, vector) for p in theta.parameters]
    filled: dict[str, Any] = theta.filled(leaves)
    held = {name for name in filled if not any(_is_of(p.name, name) for p in theta.parameters)}
    return {name: 0.0 if name in held else value for name, value in filled.items()}


def _tangent(p: Parameter, vector: FloatArray) -> Any:
    """Return the part of one parameter, in the precision that the functions get."""
    part = p.shaped(vector[p.slice])
    if p.scalar:
        return part.item()
    return part.astype(p.dtype) if p.digits < DOUBLE else part


def _is_of(parameter: str, name: str) -> bool:
    """Return whether a parameter is an input or lies within it."""
    return parameter == name or parameter.startswith((f"{name}.", f"{name}["))


def _takes_tuples(jvp: Callable[..., Any], count: int) -> bool:
    """Return whether a pushforward takes a tuple of inputs and one of tangents, as JAX's do."""
    try:
        names = tuple(inspect.signature(jvp).parameters)
    except (TypeError, ValueError):
        return False
    if names[:2] == JAX:
        return True
    return count > 1 and not accepts(jvp, 2 * count) and accepts(jvp, 2)


def pulled_back(
    vjp: Callable[..., Any], theta: Theta, upstream: Any, lay_out: Callable[[Any], FloatArray]
) -> FloatArray:
    """Return the user's pullback of an upstream gradient, laid out like theta.

    Its forms are ``vjp(x, dout)``, ``vjp(x, w, dout)`` and, as for `gradcheck.vjp`, a function of
    the inputs that returns ``(out, pullback)``.
    """
    inputs = tuple(theta.tree.values())
    if accepts(vjp, len(inputs) + 1):
        answer = vjp(*inputs, upstream)
    else:
        returned = vjp(*inputs)
        pullback = next((item for item in reversed(returned) if callable(item)), None)
        if pullback is None:
            raise ProblemError(
                "missing-gradient",
                f"{name_of(vjp)} is called as vjp(x, dout), or returns (out, pullback)",
            )
        answer = pullback(upstream)
    if len(inputs) == 1 and not isinstance(answer, (tuple, list, dict)):
        answer = (answer,)
    return lay_out(np.asarray(answer) if np.isscalar(answer) else answer)
