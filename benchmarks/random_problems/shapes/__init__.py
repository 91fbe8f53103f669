"""How problems are handed over: every call shape, and every kind of container for the params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import costs, outputs
from .calls import Call, Shape

if TYPE_CHECKING:
    from ..problems import Problem

__all__ = ["MANY", "SCALAR", "SHAPES", "SMOOTH", "Call", "call"]

SCALAR: Mapping[str, Shape] = {
    "positional": costs.positional,
    "args": costs.args,
    "joint": costs.joint,
    "data": costs.data,
    "cached": costs.cached,
    "flat": costs.flat,
    "inplace": costs.inplace,
    "object": costs.object_,
    "complex": costs.complex_,
    "batched": costs.batched,
    "buffered": costs.buffered,
    "remembering": costs.remembering,
    "regularized": costs.regularized,
}
"""Call shapes of a cost."""

MANY: Mapping[str, Shape] = {
    **SCALAR,
    "layer": outputs.layer,
    "layer object": outputs.layer_object,
    "vjp": outputs.pullback,
}
"""Those for many components."""

SHAPES: Mapping[str, Shape] = {
    **MANY,
    "jacobian": outputs.jacobian,
    "dense jacobian": outputs.dense_jacobian,
    "pushforward": outputs.pushforward,
}
"""Those of smaller problems."""

SMOOTH: Mapping[str, Shape] = {**SHAPES, "hessian": outputs.hessian}
"""All of them: Hessians need a cost that is smooth near theta as well."""


def call(problem: Problem) -> Call:
    """Return the call that checks a problem."""
    return SMOOTH[problem.shape](problem)
