"""The examples in the docstrings, and what every docstring must have."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import pytest

from pytest_gradcheck import network

MODULES = [network.__name__] + [
    f"{network.__name__}.{module.name}" for module in pkgutil.iter_modules(network.__path__)
]
FUNCTIONS = [name for name in network.__all__ if inspect.isfunction(getattr(network, name))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name: str) -> None:
    if name == network.__name__:
        pytest.importorskip("sklearn")
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_an_example_and_says_what_it_takes_and_returns(name: str) -> None:
    doc = inspect.getdoc(getattr(network, name)) or ""
    assert ">>>" in doc
    assert "Returns\n---" in doc or "Yields\n---" in doc
    assert "Parameters\n---" in doc or name == "digits"


@pytest.mark.parametrize("name", [m for m in MODULES if not m.rpartition(".")[2].startswith("_")])
def test_every_module_with_a_technique_names_its_source(name: str) -> None:
    doc = importlib.import_module(name).__doc__ or ""
    assert "Source" in doc or name == network.__name__
