"""Random compositions of differentiable operations, with exact gradients by reverse mode."""

from . import elementwise, indexing, linear, reductions, sequences
from .core import Core, Values, core_of, hessian_of
from .drawing import Builder, Drawn, draw
from .tape import OPERATIONS, ROUNDINGS, Array, Injected, Program

__all__ = [
    "OPERATIONS",
    "ROUNDINGS",
    "Array",
    "Builder",
    "Core",
    "Drawn",
    "Injected",
    "Program",
    "Values",
    "core_of",
    "draw",
    "elementwise",
    "hessian_of",
    "indexing",
    "linear",
    "reductions",
    "sequences",
]
