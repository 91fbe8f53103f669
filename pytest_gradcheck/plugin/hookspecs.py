"""The hooks that a ``conftest.py`` or another plugin may implement.

Each example can be pasted into a ``conftest.py``. What the plugin itself does with a model that has
a training mode is its own implementation of the first of them, in `checks`.
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

    Asked of every object that the pair is given: the entries of `data`, further arguments, and
    what the functions are methods of. Not asked where ``dropout="freeze"`` keeps randomness on.

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
    """Take a container or an array type apart that the plugin does not know, or return None.

    Return ``(parts, rebuild)``: a dict of what it holds by name, or a list, or, for an array, one
    NumPy array; and a function that makes such a value of other parts in the same form. Asked of
    the params, of what is in them and of gradients, but for Python's and NumPy's own types.

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


@pytest.hookspec
def pytest_gradcheck_diagnose(report: Report) -> Sequence[Finding] | None:
    """Return findings of your own about a report that has something wrong in it, or None.

    Examples
    --------
    ::

        from pytest_gradcheck import Finding

        def pytest_gradcheck_diagnose(report):
            wrong = {c.parameter for c in report.components if c.verdict == "bug"}
            if wrong and all(name.startswith("rotation") for name in wrong):
                return [Finding.cause("units", "rotations only: degrees for radians?")]
    """


@pytest.hookspec
def pytest_gradcheck_report(report: Report, nodeid: str) -> None:
    """Take note of a finished check, in the process that made it.

    Examples
    --------
    ::

        def pytest_gradcheck_report(report, nodeid):
            with open("gradients.log", "a") as log:
                print(nodeid, report.verdict, report.relative_error, file=log)
    """
