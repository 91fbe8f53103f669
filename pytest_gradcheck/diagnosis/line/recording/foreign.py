"""Arrays of other frameworks, whose inputs are not recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pytest_gradcheck.diagnosis.line.recording.values import Value, entries, is_container

__all__ = ["FOREIGN", "Foreign", "is_foreign"]

FOREIGN = "foreign"
"""The kind of a value that is an array of another framework."""

DEPTH = 3
"""Depth of nested containers in which given arrays are looked for."""


def is_foreign(item: Any) -> bool:
    """Return whether an object is an array of another framework, such as PyTorch or JAX."""
    kind = type(item)
    if isinstance(item, (np.ndarray, np.generic)):
        return False
    return hasattr(kind, "__dlpack__") or (hasattr(kind, "__array__") and hasattr(kind, "grad"))


class Foreign:
    """The arrays of other frameworks that a run creates."""

    def __init__(self) -> None:
        self._given: set[int] = set()
        self._made: set[int] = set()
        self._numbers: dict[tuple[int, str], int] = {}
        self._kept: list[Any] = []

    def enter(self, arguments: Iterable[Any], is_outermost: bool) -> None:
        """Record the arguments of a function: the outermost gets its own from the check."""
        if is_outermost:
            self.give(arguments)
            return
        for argument in arguments:
            self.make(argument)

    def give(self, items: Iterable[Any], depth: int = DEPTH) -> None:
        """Record arrays that exist before the run."""
        for item in items:
            if is_foreign(item):
                self._keep(item, self._given)
            elif depth and is_container(item):
                self.give((inner for _, inner in entries(item)[1]), depth - 1)

    def make(self, item: Any) -> None:
        """Record an array that the run has created."""
        if is_foreign(item) and id(item) not in self._given:
            self._keep(item, self._made)

    def read(self, item: Any, values: list[Value], attribute: str = "") -> set[int]:
        """Return the number of the value that is read, or none if the array was given."""
        kept = "grad" if attribute == "grad" else ""
        if not kept and id(item) not in self._made:
            return set()
        key = id(item), kept
        if key not in self._numbers:
            self._keep(item, set())
            self._numbers[key] = len(values)
            code = Foreign.read.__code__
            value = Value(len(values), None, 0, code, None, "", set(), (FOREIGN, *key), set())
            value.kind = FOREIGN
            values.append(value)
        return {self._numbers[key]}

    def _keep(self, item: Any, numbers: set[int]) -> None:
        self._kept.append(item)  # the id of an object that is gone may be used again
        numbers.add(id(item))
