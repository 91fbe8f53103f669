"""Layers, pullbacks, functions of a framework and layer objects, each turned into a cost."""

from __future__ import annotations

from pytest_gradcheck.problem.layers.functions import Differentiated, differentiated
from pytest_gradcheck.problem.layers.layer_objects import is_layer_object, layer_object
from pytest_gradcheck.problem.layers.names import accepts, by_keyword, name_of, named, with_data
from pytest_gradcheck.problem.layers.passes import Turned, layer, pullback
from pytest_gradcheck.problem.layers.upstream import Upstream

__all__ = [
    "Differentiated",
    "Turned",
    "Upstream",
    "accepts",
    "by_keyword",
    "differentiated",
    "is_layer_object",
    "layer",
    "layer_object",
    "name_of",
    "named",
    "pullback",
    "with_data",
]
