"""Nestings of containers: the steps into them, what they hold, and copies with other contents."""

from __future__ import annotations

import copy
import dataclasses
import types
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

__all__ = [
    "ABSENT",
    "Branch",
    "Fixed",
    "Key",
    "Leaf",
    "Node",
    "assign",
    "children_of",
    "described",
    "frozen",
    "held",
    "rebuilt",
    "refill",
]


@dataclass(frozen=True)
class Key:
    """One step from a container to what it holds: a dict key, an attribute, or a position."""

    label: Any
    kind: str = "key"

    def text(self, first: bool) -> str:
        """Return the step as a user would type it to look at the value."""
        if self.kind == "attribute" or isinstance(self.label, str):
            return str(self.label) if first else f".{self.label}"
        if self.kind == "position" or isinstance(self.label, (int, np.integer)):
            return f"[{self.label}]"
        return f"[{self.label!r}]"


@dataclass(frozen=True)
class Leaf:
    """A float leaf of the structure: the parameter with this number."""

    number: int


@dataclass(frozen=True)
class Fixed:
    """A part of the structure that holds no floats; the functions receive it as it is."""

    value: Any


@dataclass(frozen=True)
class Branch:
    """A container that holds a parameter somewhere below."""

    keys: tuple[Key, ...]
    children: tuple[Node, ...]
    original: Any
    items: tuple[Any, ...]

    @cached_property
    def holding(self) -> list[tuple[Key, Node]]:
        """The children that hold parameters."""
        pairs = zip(self.keys, self.children, strict=True)
        return [(key, child) for key, child in pairs if not isinstance(child, Fixed)]


Node = Leaf | Fixed | Branch


def children_of(value: Any) -> list[tuple[Key, Any]] | None:
    """Return the steps and values of a container, or None for anything else."""
    if type(value) is np.ndarray and value.dtype != object:
        return None  # at once: most of what is asked about
    if type(value) is dict or isinstance(value, Mapping):
        return [(Key(key), item) for key, item in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(Key(name, "attribute"), getattr(value, name)) for name in value._fields]
    if isinstance(value, (list, tuple)):
        return [(Key(i, "position"), item) for i, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value) if hasattr(value, item.name)]
        return [(Key(name, "attribute"), getattr(value, name)) for name in names]
    if isinstance(value, types.SimpleNamespace):
        return [(Key(name, "attribute"), item) for name, item in vars(value).items()]
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        return [(Key(i, "position"), item) for i, item in enumerate(value)]
    return None


def rebuilt(original: Any, keys: Sequence[Key], items: Sequence[Any]) -> Any:
    """Return a container like `original` that holds `items`."""
    if type(original) is dict:
        return {key.label: item for key, item in zip(keys, items, strict=True)}
    if isinstance(original, tuple):
        make: Callable[[Sequence[Any]], Any] = getattr(original, "_make", type(original))
        return make(items)
    if type(original) is list:
        return list(items)
    if isinstance(original, Mapping) and not isinstance(original, MutableMapping):
        return types.MappingProxyType({k.label: v for k, v in zip(keys, items, strict=True)})
    twin = copy.copy(original)
    for key, item in zip(keys, items, strict=True):
        assign(twin, key, item)
    return twin


def assign(container: Any, key: Key, value: Any) -> None:
    """Put a value at a step of a container."""
    if key.kind == "attribute":
        object.__setattr__(container, key.label, value)  # a frozen dataclass refuses its own
    else:
        container[key.label] = value


ABSENT = object()
"""What stands where nothing does."""


def frozen(container: Any) -> bool:
    """Return whether a container refuses new values."""
    if isinstance(container, Mapping):
        return not isinstance(container, MutableMapping)
    if isinstance(container, tuple):
        return True
    settings = getattr(container, "__dataclass_params__", None)
    return bool(settings is not None and settings.frozen)


def _look(container: Any, key: Key) -> Any:
    """Return what stands at a step of a container now, or a sentinel where nothing does."""
    try:
        if key.kind == "attribute":
            return getattr(container, key.label)
        return container[key.label]
    except (AttributeError, KeyError, IndexError, TypeError):
        return ABSENT


def held(tree: Any, node: Node) -> list[Any]:
    """Return what a structure holds now at the place of every parameter, in their order."""
    if isinstance(node, Leaf):
        return [tree]
    found: list[Any] = []
    if isinstance(node, Branch):
        for key, child in zip(node.keys, node.children, strict=True):
            if isinstance(child, Leaf):
                found.append(_look(tree, key))
            elif isinstance(child, Branch):
                found += held(_look(tree, key), child)
    return found


def refill(holder: Branch) -> None:
    """Put back what a container of the user's held, where a function has rebound it."""
    container = holder.original
    pairs = zip(holder.keys, holder.items, strict=True)
    moved = [(key, item) for key, item in pairs if _look(container, key) is not item]
    if moved and isinstance(container, list):
        container[:] = holder.items
        return
    for key, item in moved:
        with suppress(TypeError):  # a read-only mapping, whose entries cannot be set through it
            assign(container, key, item)


def described(value: Any) -> str:
    """Return what a value is, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    if isinstance(value, (dict, list, tuple)) and not value:
        return f"an empty {type(value).__name__}"
    article = "an" if type(value).__name__[:1].lower() in "aeiou" else "a"
    return f"{article} {type(value).__name__}"
