"""Sixty first calls as people write them, over eleven frameworks: written down before the code.

Each is a function of ``check`` (`check_gradients`, with its methods) and of a factor that spoils
one gradient: 1 is right. `CALLS` says of each which parameter a spoiled one has to be named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["CALLS", "NaturalCall", "natural"]


class NaturalCall(NamedTuple):
    """A call, the framework whose values it hands over, and the parameter that it may spoil."""

    framework: str
    name: str
    parameter: str
    run: Callable[[Any, float], Any]


CALLS: list[NaturalCall] = []


def natural(parameter: str) -> Callable[[Callable[[Any, float], Any]], Callable[[Any, float], Any]]:
    """Enter a call into the list, under the name of its module and its own."""

    def enter(run: Callable[[Any, float], Any]) -> Callable[[Any, float], Any]:
        framework = run.__module__.rpartition(".")[2].removesuffix("_calls")
        CALLS.append(NaturalCall(framework, run.__name__.replace("_", " "), parameter, run))
        return run

    return enter
