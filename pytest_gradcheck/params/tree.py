"""Nestings of containers: paths into them, their children, and copies with other contents."""

from __future__ import annotations

import copy
import dataclasses
import sys
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pytest_gradcheck.errors import ProblemError, printable
from pytest_gradcheck.params.frameworks import Taken, take

__all__ = [
    "MISSING",
    "Branch",
    "Flattener",
    "Leaf",
    "Node",
    "PathEntry",
    "Static",
    "assign",
    "children_of",
    "current_leaves",
    "describe",
    "flatten_foreign",
    "foreign_children",
    "is_immutable",
    "leaves",
    "restore_container",
]


class PathEntry(NamedTuple):
    """An entry of a path into containers: a dict key, an attribute, an index, or the whole."""

    label: Any
    kind: str = "key"

    def text(self, first: bool) -> str:
        """Return the entry as a user types it to read the child."""
        if self.kind == "whole":  # the only child of a foreign array, which has its name
            return ""
        if self.kind == "attribute" or isinstance(self.label, str):
            label = printable(str(self.label))
            return label if first else f".{label}"
        if self.kind == "position" or isinstance(self.label, (int, np.integer)):
            return f"[{self.label}]"
        return f"[{printable(repr(self.label))}]"


@dataclass(frozen=True)
class Leaf:
    """A float leaf of the structure: the parameter with this number."""

    number: int


@dataclass(frozen=True)
class Static:
    """A part of the structure without floats, passed to the functions unchanged."""

    value: Any


@dataclass(frozen=True)
class Branch:
    """A container that holds a parameter somewhere below."""

    keys: tuple[PathEntry, ...]
    children: tuple[Node, ...]
    original: Any
    items: tuple[Any, ...]
    foreign: ForeignChildren | None = None
    """The flattened form of a value that is none of Python's and NumPy's own."""

    def of(self, items: Sequence[Any]) -> Any:
        """Return a container like this one with other items."""
        if self.foreign is not None:
            return self.foreign.rebuild(items)
        return _rebuilt(self.original, self.keys, items)

    @cached_property
    def holding(self) -> list[tuple[PathEntry, Node]]:
        """The children that hold parameters."""
        pairs = zip(self.keys, self.children, strict=True)
        return [(key, child) for key, child in pairs if not isinstance(child, Static)]


Node = Leaf | Static | Branch


def leaves(node: Node) -> list[int]:
    """Return the numbers of the parameters below a node, in their order."""
    if isinstance(node, Leaf):
        return [node.number]
    if isinstance(node, Branch):
        return [number for child in node.children for number in leaves(child)]
    return []


def children_of(value: Any) -> list[tuple[PathEntry, Any]] | None:
    """Return the path entries and children of a container, or None for anything else."""
    if type(value) is np.ndarray and value.dtype != object:
        return None  # first: most values have these types
    if type(value) is dict or isinstance(value, Mapping):
        return [(PathEntry(key), item) for key, item in value.items()]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [(PathEntry(name, "attribute"), getattr(value, name)) for name in value._fields]
    if isinstance(value, (list, tuple)):
        return [(PathEntry(i, "position"), item) for i, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [item.name for item in dataclasses.fields(value) if hasattr(value, item.name)]
        return [(PathEntry(name, "attribute"), getattr(value, name)) for name in names]
    if isinstance(value, types.SimpleNamespace):
        return [(PathEntry(name, "attribute"), item) for name, item in vars(value).items()]
    if isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1:
        return [(PathEntry(i, "position"), item) for i, item in enumerate(value)]
    return None


Flattener = Callable[[Any], Any]
"""Flattens a foreign value into ``(parts, rebuild)``; see `pytest_gradcheck_flatten`."""

PLAIN = frozenset((dict, list, tuple, np.ndarray, bool, int, float, complex, str, type(None)))
"""Types that no hook flattens."""


PLAIN_LEAVES = PLAIN - {dict, list, tuple, np.ndarray}

SHALLOW = 50
"""Levels of nesting that fit Python's default recursion limit."""

FRAMES = 10
"""Function calls for each level, at most."""


def flatten_foreign(value: Any, foreign: Flattener | None) -> Taken | None:
    """Flatten a foreign container or array by the user's hook or an adapter; None if neither does.

    Raises
    ------
    ProblemError
        ``bad-setting`` if the hook returns a wrong value.
    """
    if type(value) in PLAIN or isinstance(value, np.generic):
        return None
    answer = None if foreign is None else foreign(value)
    if answer is None:
        return take(value)
    if isinstance(answer, tuple) and len(answer) == 2 and callable(answer[1]):
        return Taken(*answer)
    raise ProblemError(
        "bad-setting",
        f"pytest_gradcheck_flatten returned {describe(answer)} for {describe(value)}: return "
        "(parts, rebuild), of which the second is a function of such parts, or None",
    )


@dataclass(frozen=True)
class ForeignChildren:
    """A foreign value as a container: its children by path entry, and its flattened form."""

    children: list[tuple[PathEntry, Any]]
    taken: Taken

    def rebuild(self, items: Sequence[Any]) -> Any:
        """Return a value like it with other items."""
        parts = self.taken.parts
        if isinstance(parts, Mapping):
            return self.taken.rebuild(dict(zip(parts, items, strict=True)))
        return self.taken.rebuild(list(items) if isinstance(parts, (list, tuple)) else items[0])


def foreign_children(value: Any, foreign: Flattener | None) -> ForeignChildren | None:
    """Return a foreign value as a container, or None."""
    taken = flatten_foreign(value, foreign)
    if taken is None:
        return None
    parts = taken.parts
    if isinstance(parts, Mapping):
        keys = [PathEntry(name, "attribute" if isinstance(name, str) else "key") for name in parts]
        return ForeignChildren(list(zip(keys, parts.values(), strict=True)), taken)
    if isinstance(parts, (list, tuple)):
        return ForeignChildren(
            [(PathEntry(i, "position"), item) for i, item in enumerate(parts)], taken
        )
    return ForeignChildren([(PathEntry("", "whole"), parts)], taken)


def _rebuilt(original: Any, keys: Sequence[PathEntry], items: Sequence[Any]) -> Any:
    """Return a container like `original` with other items."""
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


def assign(container: Any, key: PathEntry, value: Any) -> None:
    """Set the child of a container at a path entry."""
    if key.kind == "attribute":
        object.__setattr__(container, key.label, value)  # a frozen dataclass refuses `setattr`
    else:
        container[key.label] = value


MISSING = object()
"""Sentinel for a child that has been removed."""


def is_immutable(container: Any) -> bool:
    """Return whether a container refuses new values."""
    if isinstance(container, Mapping):
        return not isinstance(container, MutableMapping)
    if isinstance(container, tuple):
        return True
    settings = getattr(container, "__dataclass_params__", None)
    return bool(settings is not None and settings.frozen)


def look(container: Any, key: PathEntry) -> Any:
    """Return the present child of a container at a path entry, or `MISSING`."""
    try:
        if key.kind == "attribute":
            return getattr(container, key.label)
        return container[key.label]
    except (AttributeError, KeyError, IndexError, TypeError):
        return MISSING


def current_leaves(tree: Any, node: Node, foreign: Flattener | None) -> list[Any]:
    """Return the present leaves of a structure in the order of the parameters."""
    if isinstance(node, Leaf):
        return [tree]
    found: list[Any] = []
    if isinstance(node, Branch):
        there: dict[PathEntry, Any] | None = None
        if node.foreign is not None:
            now = foreign_children(tree, foreign)
            there = {} if now is None else dict(now.children)
        for key, child in zip(node.keys, node.children, strict=True):
            item = look(tree, key) if there is None else there.get(key, MISSING)
            if isinstance(child, Leaf):
                found.append(item)
            elif isinstance(child, Branch):
                found += current_leaves(item, child, foreign)
    return found


def restore_container(holder: Branch) -> None:
    """Restore the children of a user's container that a function has replaced."""
    container = holder.original
    pairs = zip(holder.keys, holder.items, strict=True)
    moved = [(key, item) for key, item in pairs if look(container, key) is not item]
    if moved and isinstance(container, list):
        container[:] = holder.items
        return
    for key, item in moved:
        with suppress(TypeError):  # a read-only mapping
            assign(container, key, item)


def _depth(value: Any) -> int:
    """Return how deep containers are nested in each other."""
    deepest, level, seen = 0, [value], set[int]()
    while level:
        inside = [one for item in level for _, one in children_of(item) or ()]
        level = [one for one in inside if id(one) not in seen and type(one) not in PLAIN_LEAVES]
        seen.update(map(id, level))
        deepest += 1
    return deepest


@contextmanager
def room_for_recursion(value: Any) -> Iterator[None]:
    """Raise the recursion limit to walk deeply nested containers."""
    before, depth = sys.getrecursionlimit(), _depth(value)
    if depth <= SHALLOW:
        yield
        return
    sys.setrecursionlimit(before + FRAMES * depth)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def describe(value: Any) -> str:
    """Describe a value in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    if isinstance(value, (dict, list, tuple)) and not value:
        return f"an empty {type(value).__name__}"
    article = "an" if type(value).__name__[:1].lower() in "aeiou" else "a"
    return f"{article} {type(value).__name__}"
