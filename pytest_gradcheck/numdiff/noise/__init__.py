"""The noise of a cost: how it is measured, near and further off, and along which lines."""

from __future__ import annotations

from pytest_gradcheck.numdiff.noise.measuring import Noise
from pytest_gradcheck.numdiff.noise.rows import NoiseKind

__all__ = ["Noise", "NoiseKind"]
