"""What is no cost yet: layers, pullbacks, functions of a framework, objects with both passes."""

from __future__ import annotations

from pytest_gradcheck.problem.layers.functions import Differentiated, differentiated
from pytest_gradcheck.problem.layers.names import name_of, named
from pytest_gradcheck.problem.layers.passes import Turned, layer, pullback
from pytest_gradcheck.problem.layers.upstream import Upstream

__all__ = [
    "Differentiated",
    "Turned",
    "Upstream",
    "differentiated",
    "layer",
    "name_of",
    "named",
    "pullback",
]
