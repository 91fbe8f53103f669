"""Slots: arrays that a network or layer owns, and the places of their gradients.

A `Slot` is a place in a user's object that holds an array, a number or a tensor. Its gradient is
found by usual names: ``dW``, ``grad_W`` or ``W_grad`` beside ``W``; ``grads["W"]``; ``W.grad``; a
list of gradients in the order of a list of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pytest_gradcheck.errors import ProblemError
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.objects import attributes_of
from pytest_gradcheck.params.tree import (
    MISSING,
    Flattener,
    PathEntry,
    assign,
    children_of,
    flatten_foreign,
    look,
)

SPELLINGS = ("d{}", "d_{}", "grad_{}", "grad{}", "{}_grad", "{}_gradient", "g_{}", "delta_{}")
"""Usual names of a gradient beside its parameter."""

COLLECTIONS = ("grads", "grad", "gradients", "gradient", "dparams", "d_params", "grad_params")
"""Usual names of a dict or a list of gradients."""

NUMBERS = ("data", "value", "values", "array", "val")
"""Usual names of the numbers in a parameter object that has its gradient as an attribute."""

RESETS = ("zero_grad", "zero_grads", "zero_gradients", "clear_grads", "zerograd")
"""Usual names of the method that sets gradients to zero."""


@dataclass
class Slot:
    """A place in an object that holds an array, a number or a tensor.

    Attributes
    ----------
    name : str
        The expression by which a user reads it, ``layers[0].W``.
    leaf : object
        The value when it was found.
    holder : object
        The container or object that holds it.
    key : Key
        The last step of its path.
    above : tuple of (holder, Key)
        The path from the whole to `holder`.
    """

    name: str
    leaf: Any
    holder: Any
    key: PathEntry
    above: tuple[tuple[Any, PathEntry], ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the value."""
        return tuple(np.shape(numbers_of(self.leaf)))

    def gradient(self) -> Any:
        """Return the present gradient under a usual name, or None."""
        for found in self._named():
            value = numbers_of(found)
            if value is not None and np.shape(value) == self.shape and _is_real(value):
                return value
        return None

    def _named(self) -> Iterator[Any]:
        yield getattr(look(self.holder, self.key), "grad", None)
        label = self.key.label
        beside = _entries(self.holder)
        if isinstance(label, str):
            yield from _under(beside, label, SPELLINGS)
        for name in COLLECTIONS:
            yield from _item(beside.get(name), label)
            if label in NUMBERS:
                yield beside.get(name)
        if self.above:
            parent, key = self.above[-1]
            around = _entries(parent)
            named: tuple[str, ...] = COLLECTIONS
            if isinstance(key.label, str):
                named += tuple(spelling.format(key.label) for spelling in SPELLINGS)
            for name in named:
                yield from _item(around.get(name), label)


def _entries(holder: Any) -> Mapping[Any, Any]:
    if isinstance(holder, Mapping):
        return holder
    return {key.label: item for key, item in attributes_of(holder) or children_of(holder) or ()}


def _under(entries: Mapping[Any, Any], label: str, spellings: Sequence[str]) -> Iterator[Any]:
    for spelling in spellings:
        yield entries.get(spelling.format(label))


def _item(collection: Any, label: Any) -> Iterator[Any]:
    """Yield the entry of a dict or a list of gradients for a name or a position."""
    if isinstance(collection, Mapping):
        yield collection.get(label)
        if isinstance(label, str):
            yield from _under(collection, label, SPELLINGS)
    elif isinstance(collection, (list, tuple)) and isinstance(label, int):
        yield collection[label] if label < len(collection) else None


def _is_real(value: Any) -> bool:
    return isinstance(value, (float, int)) or getattr(value, "dtype", np.dtype("O")).kind in "fiu"


def is_object(value: Any, foreign: Flattener | None) -> bool:
    """Return whether a value is an object whose attributes may hold arrays."""
    return (
        children_of(value) is None
        and flatten_foreign(value, foreign) is None
        and attributes_of(value) is not None
    )


def holds_objects(value: Any, foreign: Flattener | None) -> bool:
    """Return whether a value is an object with attributes, or a list or dict of such."""
    open_, seen = [value], set[int]()
    while open_:
        item = open_.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if is_object(item, foreign):
            return True
        if type(item) in (list, tuple, dict):
            open_ += [one for _, one in children_of(item) or ()]
    return False


def slots_of(value: Any, foreign: Flattener | None) -> list[Slot]:
    """Return every place below an object that holds floats, each array once."""
    found: list[Slot] = []
    seen: set[int] = set()

    def walk(value: Any, name: str, above: tuple[tuple[Any, PathEntry], ...]) -> None:
        if id(value) in seen and not isinstance(value, float):
            return
        seen.add(id(value))
        taken = flatten_foreign(value, foreign)
        if _is_leaf(value) or (taken is not None and not isinstance(taken.parts, (dict, list))):
            if above:
                holder, key = above[-1]
                found.append(Slot(name, value, holder, key, above[:-1]))
            return
        if taken is not None:
            parts = taken.parts.items() if isinstance(taken.parts, dict) else ()
            children = [(PathEntry(label, "attribute"), item) for label, item in parts]
        else:
            children = children_of(value) or attributes_of(value) or []
        for key, item in children:
            walk(item, name + key.text(not name), (*above, (value, key)))

    walk(value, "", ())
    return found


def _is_leaf(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fc" and value.size > 0
    return isinstance(value, (float, np.floating))


class Slots(dict[str, Any]):
    """The values of slots by their names; writing one writes to its owner.

    Parameters
    ----------
    slots : sequence of Slot
    owner : object
        The whole object, with which the functions are called.
    collect : callable
        Takes the answer of `grad` and returns gradients by the names of the slots.
    """

    def __init__(
        self, slots: Sequence[Slot], owner: Any, collect: Callable[[Any], dict[str, Any]]
    ) -> None:
        super().__init__({slot.name: slot.leaf for slot in slots})
        self.slots = {slot.name: slot for slot in slots}
        self.owner, self.collect = owner, collect

    def __getitem__(self, name: str) -> Any:
        slot = self.slots[name]
        found = look(slot.holder, slot.key)
        if found is MISSING:
            raise KeyError(name)
        return found

    def __setitem__(self, name: str, value: Any) -> None:
        slot = self.slots[name]
        assign(slot.holder, slot.key, value)

    def reset(self) -> None:
        """Set the gradients to zero, if the object or its parts have a method for it."""
        zero_gradients(self.owner)


def zero_gradients(owner: Any) -> None:
    """Call the method that zeroes gradients, of an object or of those in a list or dict."""
    for name in RESETS:
        method = getattr(owner, name, None)
        if callable(method):
            method()
            return
    if type(owner) in (list, tuple, dict):
        for _, item in children_of(owner) or ():
            zero_gradients(item)


@dataclass
class _Seen:
    """The saved contents of an object and everything below it."""

    contents: list[tuple[Any, Any]] = field(default_factory=list)
    arrays: list[tuple[Any, Any]] = field(default_factory=list)
    generators: list[tuple[Any, Any]] = field(default_factory=list)


@contextmanager
def put_back(*values: Any) -> Iterator[None]:
    """Restore objects at the end of a block, down to the bits of their arrays."""
    seen = _Seen()
    _look_through(values, seen, set())
    try:
        yield
    finally:
        for holder, kept in seen.contents:
            _restore(holder, kept)
        for array, numbers in seen.arrays:
            with suppress(ValueError):  # read-only by now, and so unchanged
                array[...] = numbers
        for generator, state in seen.generators:
            generator.bit_generator.state = state


def _look_through(value: Any, seen: _Seen, ids: set[int]) -> None:
    if id(value) in ids:
        return
    ids.add(id(value))
    if isinstance(value, np.ndarray) and value.dtype != object:
        if value.flags.writeable:
            seen.arrays.append((value, value.copy()))
        return
    if isinstance(value, np.random.Generator):
        seen.generators.append((value, value.bit_generator.state))
        return
    attributes = attributes_of(value)
    children = children_of(value) or attributes
    if type(value) is dict:
        seen.contents.append((value, dict(value)))
    elif type(value) is list:
        seen.contents.append((value, list(value)))
    elif hasattr(value, "__dict__") and attributes is not None:
        seen.contents.append((value, dict(vars(value))))
    for _, item in children or ():
        _look_through(item, seen, ids)


def _restore(holder: Any, kept: Any) -> None:
    if isinstance(holder, list):
        holder[:] = kept
        return
    entries = holder if isinstance(holder, dict) else vars(holder)
    if entries.keys() != kept.keys() or any(entries[name] is not kept[name] for name in kept):
        entries.clear()
        entries.update(kept)


def nothing_found(value: Any, slots: Sequence[Slot]) -> ProblemError:
    """Return the error for an object without a gradient of any array."""
    names = ", ".join(slot.name for slot in slots[:8]) or "no arrays"
    kind = type(value).__name__
    return ProblemError(
        "missing-gradient",
        f"{kind} has {names}, and no gradient of any was found: return them by these names, or "
        "keep them beside the arrays as dW, grad_W, W_grad, grads['W'] or W.grad",
    )
