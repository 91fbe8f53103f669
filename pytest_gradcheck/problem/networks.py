"""Networks that are objects: their arrays that have a gradient, matched with the answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from pytest_gradcheck.errors import raised_as
from pytest_gradcheck.params.frameworks import numbers_of
from pytest_gradcheck.params.objects.slots import (
    SPELLINGS,
    Slot,
    Slots,
    nothing_found,
    slots_of,
    zero_gradients,
)
from pytest_gradcheck.params.tree import Flattener, children_of, look
from pytest_gradcheck.problem.binding import bound
from pytest_gradcheck.problem.layers import name_of
from pytest_gradcheck.problem.problem import Problem

Collect = Callable[[Any], dict[str, Any]]
"""Takes the answer of `grad` and returns gradients by the names of slots."""


class Network(NamedTuple):
    """The checked arrays of a network, and notes on the others."""

    slots: Slots
    notes: tuple[str, ...]


def network(
    problem: Problem, owner: Any, data: Mapping[str, Any] | None, foreign: Flattener | None
) -> Network:
    """Return the arrays of an object that have a gradient, from one call of both functions.

    An array that the call replaces is a cache and no parameter.

    Raises
    ------
    ProblemError
        ``missing-gradient`` if none has one, and the errors of the calls.
    """
    before = slots_of(owner, foreign)
    answer = _first_answer(problem, owner, data)
    given = {id(value) for value in (*problem.args, *(data or {}).values())}
    slots = [
        slot
        for slot in before
        if _same(look(slot.holder, slot.key), slot.leaf) and id(slot.leaf) not in given
    ]
    collect, found = _by_answer(answer, slots) or _by_attributes(slots)
    if not found:
        raise nothing_found(owner, slots)
    own = {id(gradient) for gradient in collect(answer).values()}
    left = [s.name for s in slots if s not in found and id(s.leaf) not in own]
    note = f"held fixed, as no gradient has their name: {_listed(left)}"
    return Network(Slots(found, owner, collect), (note,) if left else ())


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")


def _same(now: Any, then: Any) -> bool:
    return now is then or (isinstance(then, float) and now == then)


def _first_answer(problem: Problem, owner: Any, data: Mapping[str, Any] | None) -> Any:
    """Call the cost, then the gradient, and return the latter's answer."""
    cost = bound(problem.cost, problem.args, data, True, "cost")
    with raised_as("cost-raised", lambda error: f"{name_of(problem.cost)} raised {error}"):
        returned = cost.with_tree(owner)()
    if problem.grad is True:
        return returned[1] if isinstance(returned, (tuple, list)) and len(returned) > 1 else None
    gradient = bound(problem.grad, problem.args, data, True, "gradient")
    cache: dict[str, Any] = {}
    if gradient.wants_cache and isinstance(returned, tuple) and len(returned) > 1:
        cache = {"cache": returned[1] if len(returned) == 2 else returned[1:]}
    zero_gradients(owner)
    with raised_as("gradient-raised", lambda error: f"{name_of(problem.grad)} raised {error}"):
        return gradient.with_tree(owner, **cache)()


def _by_attributes(slots: Sequence[Slot]) -> tuple[Collect, list[Slot]]:
    found = [slot for slot in slots if slot.gradient() is not None]
    taken = {id(slot.gradient()) for slot in found}
    found = [slot for slot in found if id(slot.leaf) not in taken]
    return (lambda _: {slot.name: slot.gradient() for slot in found}), found


def _by_answer(answer: Any, slots: Sequence[Slot]) -> tuple[Collect, list[Slot]] | None:
    """Match the answer's entries with slots, by name or, in a list, by order and shape."""
    if isinstance(answer, Mapping):
        paths = {slot.name: _path(answer, slot, slots) for slot in slots}
        found = [slot for slot in slots if paths[slot.name] is not None]
        return (_named(paths), found) if found else None
    if isinstance(answer, (list, tuple)):
        return _by_order(answer, slots)
    return None


def _named(paths: Mapping[str, Path | None]) -> Collect:
    """Return a function that reads each slot's gradient from a mapping, by a path of keys."""
    known = {name: path for name, path in paths.items() if path is not None}

    def collect(answer: Any) -> dict[str, Any]:
        return {name: _at(answer, path) for name, path in known.items()}

    return collect


Path = tuple[Any, ...]


def _path(answer: Mapping[Any, Any], slot: Slot, slots: Sequence[Slot]) -> Path | None:
    """Return the path of keys to a slot's gradient in an answer, or None."""
    labels = [key.label for _, key in slot.above] + [slot.key.label]
    alone = sum(other.key.label == slot.key.label for other in slots) == 1
    for start in range(len(labels)):
        tail = labels[start:]
        if start == 0 or alone or len(tail) > 1:
            found = _descended(answer, tail)
            if found is not None and np.shape(numbers_of(_at(answer, found))) == slot.shape:
                return found
    for name in _spelled(slot.name):
        if name in answer:
            return (name,)
    return None


def _descended(answer: Any, labels: Sequence[Any]) -> Path | None:
    """Return the keys of an answer along labels; the last one may have another spelling."""
    path: list[Any] = []
    for number, label in enumerate(labels):
        names = _spelled(label) if number == len(labels) - 1 else [label]
        if isinstance(answer, Mapping):
            name = next((name for name in names if name in answer), None)
        elif isinstance(answer, (list, tuple)) and isinstance(label, int) and label < len(answer):
            name = label
        else:
            name = None
        if name is None:
            return None
        path.append(name)
        answer = answer[name]
    return tuple(path)


def _spelled(label: Any) -> list[Any]:
    if not isinstance(label, str):
        return [label]
    return [*(spelling.format(label) for spelling in SPELLINGS), label]


def _at(answer: Any, path: Path | None) -> Any:
    for step in path or ():
        answer = answer[step]
    return answer


def _by_order(answer: Sequence[Any], slots: Sequence[Slot]) -> tuple[Collect, list[Slot]] | None:
    """Match a list, or a list of lists for layers, with slots by order and shape."""
    entries = _flattened(answer)
    own = _by_attributes(slots)[1]
    for candidates in (own, slots):
        found: list[Slot] = []
        rest = iter(candidates)
        for entry in entries:
            shape = np.shape(numbers_of(entry))
            found += [slot for slot in [next((s for s in rest if s.shape == shape), None)] if slot]
        if len(found) == len(entries) > 0:
            return _ordered(found), found
    return None


def _ordered(slots: Sequence[Slot]) -> Collect:
    """Return a function that reads gradients from a list in the order of slots."""

    def collect(answer: Any) -> dict[str, Any]:
        names = (slot.name for slot in slots)
        return dict(zip(names, _flattened(answer), strict=True))

    return collect


def _flattened(answer: Any) -> list[Any]:
    children = children_of(answer)
    if children is None:
        return [] if answer is None else [answer]
    return [entry for _, item in children for entry in _flattened(item)]
