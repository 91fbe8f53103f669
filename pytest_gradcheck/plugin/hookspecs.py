"""The hooks that a ``conftest.py`` or another plugin may implement.

Each example can be pasted into a ``conftest.py``. The plugin implements the first of them itself,
in `items`, for models with a training mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_gradcheck.report.report import Finding, Report

__all__ = [
    "pytest_gradcheck_diagnose",
    "pytest_gradcheck_flatten",
    "pytest_gradcheck_report",
    "pytest_gradcheck_still",
]


@pytest.hookspec(firstresult=True)
def pytest_gradcheck_still(value: object) -> AbstractContextManager[object] | None:
    """Return a context manager that switches off the randomness of a model for a check, or None.

    Called with every object of the pair: the entries of `data`, further arguments, and the objects
    whose methods the functions are. Not called under ``dropout="freeze"``, which keeps randomness
    on.

    Examples
    --------
    ::

        import contextlib
        from mylibrary import Network

        def pytest_gradcheck_still(value):
            if isinstance(value, Network):
                return without_dropout(value)

        @contextlib.contextmanager
        def without_dropout(network):
            rate, network.dropout_rate = network.dropout_rate, 0.0
            try:
                yield
            finally:
                network.dropout_rate = rate
    """


@pytest.hookspec(firstresult=True)
def pytest_gradcheck_flatten(value: object) -> tuple[object, Callable[[Any], object]] | None:
    """Flatten a container or an array of a type that the plugin does not know, or return None.

    Return ``(parts, rebuild)``. The parts are a dict or a list of children or, for an array, one
    NumPy array; `rebuild` makes such a value of other parts in the same form. Called with the
    params, their contents and gradients, except for Python's and NumPy's own types.

    Examples
    --------
    ::

        from mylibrary import Layer, Tensor

        def pytest_gradcheck_flatten(value):
            if isinstance(value, Layer):
                return {"weight": value.weight, "bias": value.bias}, lambda parts: Layer(**parts)
            if isinstance(value, Tensor):
                return value.numpy(), Tensor
    """


def pytest_gradcheck_diagnose(report: Report) -> Sequence[Finding] | None:
    """Return findings of your own about a failing report, or None.

    Examples
    --------
    ::

        from pytest_gradcheck import Finding

        def pytest_gradcheck_diagnose(report):
            wrong = {c.parameter for c in report.components if c.verdict == "bug"}
            if wrong and all(name.startswith("rotation") for name in wrong):
                return [Finding.cause("units", "rotations only: degrees for radians?")]
    """


def pytest_gradcheck_report(report: Report, nodeid: str) -> None:
    """Receive a finished check, in the process that made it.

    Examples
    --------
    ::

        def pytest_gradcheck_report(report, nodeid):
            with open("gradients.log", "a") as log:
                print(nodeid, report.verdict, report.relative_error, file=log)
    """
