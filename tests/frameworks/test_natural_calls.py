"""The sixty first calls of `benchmarks/natural_calls`: each works, and a spoiled one is named.

Each framework for real where it can be imported; CuPy by a stand-in.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

import pytest

from pytest_gradcheck import check_gradients

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
os.environ.setdefault("DEV", "PYTHON")  # tinygrad's device that needs no compiler

from natural_calls import CALLS, NaturalCall
from natural_calls.cupy_stand_in import install

FRAMEWORKS = {
    "torch": "torch",
    "jax": "jax",
    "autograd": "autograd",
    "mygrad": "mygrad",
    "micrograd": "micrograd",
    "tinygrad": "tinygrad",
    "cupy": "cupy",
    "pandas": "pandas",
    "xarray": "xarray",
    "sparse": "scipy",
    "lmfit": "lmfit",
}
"""The modules of natural calls, and the package that each needs."""

NUMBERS = dict(zip(FRAMEWORKS, (15, 14, 3, 5, 4, 4, 4, 5, 2, 2, 2), strict=True))

install()


def calls(framework: str) -> list[NaturalCall]:
    """Return the natural calls of a framework, which is skipped where it cannot be imported."""
    pytest.importorskip(FRAMEWORKS[framework])
    import_module(f"natural_calls.{framework}_calls")
    return [call for call in CALLS if call.framework == framework]


NUMBERED = [(name, i) for name, count in NUMBERS.items() for i in range(count)]


@pytest.mark.parametrize(("framework", "number"), NUMBERED)
def test_a_natural_call_works_and_a_spoiled_one_is_named(framework: str, number: int) -> None:
    call = calls(framework)[number]
    right = call.run(check_gradients, 1.0)
    assert right.passed, f"{call.name}: {right}"
    wrong = call.run(check_gradients, 1.5)
    assert {c.parameter for c in wrong.components if c.verdict == "bug"} == {call.parameter}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_natural_call_is_in_the_list(framework: str) -> None:
    assert len(calls(framework)) == NUMBERS[framework]
