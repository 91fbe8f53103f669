"""The noise of a cost: how it is measured, near and further off, and along which lines."""

from __future__ import annotations

from pytest_gradcheck.numdiff.noise.measuring import (
    EPSILON,
    Along,
    Noise,
    NoiseKind,
    given,
    measure,
    measure_far,
    moves_far,
    order_scales,
)

__all__ = [
    "EPSILON",
    "Along",
    "Noise",
    "NoiseKind",
    "given",
    "measure",
    "measure_far",
    "moves_far",
    "order_scales",
]
