"""The codes of findings."""

from __future__ import annotations

__all__ = ["CAUSES", "WARNINGS"]

CAUSES = (
    "zero",
    "sign",
    "scale",
    "missing-regularization",
    "wrong-regularization",
    "transposed",
    "swapped",
    "wrong-axis",
    "shifted",
    "mask",
    "upstream",
    "stale",
    "partial",
)
"""Codes of causes, from the simplest on; beside them, ``unnamed`` says that there is more."""

WARNINGS = ("dominated", "kink", "precision", "vacuous")
"""Codes of warnings."""
