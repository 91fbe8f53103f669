"""Prove hand-written gradients right in pytest, or learn which component is wrong, and why.

Names are imported when they are first used: pytest loads this package at every start, and NumPy is
to be paid for only by tests that check a gradient.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_gradcheck.api import GradCheck, check_gradients, gradcheck
    from pytest_gradcheck.errors import GradcheckWarning, ProblemError
    from pytest_gradcheck.problem.problem import Problem
    from pytest_gradcheck.problem.regularization import L1, L2
    from pytest_gradcheck.report.report import (
        Component,
        Finding,
        GradientError,
        ParameterReport,
        PointReport,
        Report,
    )
    from pytest_gradcheck.settings import Settings

__version__ = "0.2.0"

__all__ = [
    "L1",
    "L2",
    "Component",
    "Finding",
    "GradCheck",
    "GradcheckWarning",
    "GradientError",
    "ParameterReport",
    "PointReport",
    "Problem",
    "ProblemError",
    "Report",
    "Settings",
    "__version__",
    "check_gradients",
    "gradcheck",
]

_HOMES = {
    "api": ("GradCheck", "check_gradients", "gradcheck"),
    "errors": ("GradcheckWarning", "ProblemError"),
    "problem.problem": ("Problem",),
    "problem.regularization": ("L1", "L2"),
    "report.report": (
        "Component",
        "Finding",
        "GradientError",
        "ParameterReport",
        "PointReport",
        "Report",
    ),
    "settings": ("Settings",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
