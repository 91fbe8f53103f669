"""Layer objects: ``out = layer.forward(x)``, ``dx = layer.backward(dout)``, and their arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from pytest_gradcheck.context import current
from pytest_gradcheck.errors import raised_as
from pytest_gradcheck.params.objects.slots import (
    SPELLINGS,
    Slot,
    Slots,
    put_back,
    slots_of,
    zero_gradients,
)
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.params.tree import PathEntry, assign, look
from pytest_gradcheck.problem.layers.names import name_of, named
from pytest_gradcheck.problem.layers.passes import Turned, turned
from pytest_gradcheck.problem.layers.upstream import Pull

OUTPUTS = ("output", "out", "outputs", "y", "Y", "a", "A", "z", "Z")
"""Attributes of layers that keep their output instead of returning it."""

INPUT_GRADIENTS = ("dinputs", "dinput", "dx", "dX", "grad_input", "grad_inputs", "input_grad")
"""Attributes that keep the gradient of the input."""


def is_layer_object(value: Any, inputs: tuple[Any, ...]) -> bool:
    """Return whether a value has both passes, and no separate backward pass follows."""
    has_both = callable(getattr(value, "backward", None)) and callable(_forward(value))
    return has_both and not (inputs and callable(inputs[0]) and not hasattr(inputs[0], "dtype"))


def _forward(layer: Any) -> Any:
    forward = getattr(layer, "forward", None)
    return forward if callable(forward) else layer


class _ObjectPass:
    """Both passes of an object. Each call gets copies of the inputs: layers keep them."""

    def __init__(self, layer: Any, inputs: dict[str, Any]) -> None:
        self.layer, self._names = layer, list(inputs)
        self._call = _forward(layer)
        self.name = name_of(self._call)
        self.functions: tuple[Callable[..., Any], ...] = (self._call, layer.backward)
        self.slots: list[Slot] = []

    def forward(self, inputs: dict[str, Any]) -> tuple[Any, Pull]:
        """Return the output, and the backward pass of this call."""
        moved = [slot for slot in self.slots if inputs[slot.name] is not slot.leaf]
        before = [_now(slot) for slot in moved]
        for slot in moved:
            _write(slot, inputs[slot.name])
        try:
            returned = self._call(*(_copied(inputs[name]) for name in self._names))
        finally:
            for slot, kept in zip(moved, before, strict=True):
                _write(slot, kept)
        if returned is None:  # some keep their output as the cache
            returned = _kept(self.layer, OUTPUTS)
        out, cache = returned, ()
        if isinstance(returned, tuple) and len(returned) > 1:
            out, cache = returned[0], returned[1:]
        return out, lambda dout: self._pulled(dout, cache)

    def _pulled(self, dout: Any, cache: tuple[Any, ...]) -> dict[str, Any]:
        zero_gradients(self.layer)
        answer = self._backward(dout, cache)
        if answer is None:  # it keeps these gradients too
            answer = [self._input_gradient(name) for name in self._names]
        grads = dict(zip(self._names, _first(answer, len(self._names)), strict=False))
        return grads | {slot.name: np.copy(slot.gradient()) for slot in self.slots}

    def _input_gradient(self, name: str) -> Any:
        beside = [spelling.format(name) for spelling in SPELLINGS]
        return _kept(self.layer, (*beside, *INPUT_GRADIENTS) if len(self._names) == 1 else beside)

    def _backward(self, dout: Any, cache: tuple[Any, ...]) -> Any:
        if cache:
            with suppress(TypeError):
                return self.layer.backward(dout, *cache)
        return self.layer.backward(dout)


def _kept(layer: Any, names: Sequence[str]) -> Any:
    """Return a copy of the first of these attributes that a layer has, or None."""
    values = (getattr(layer, name, None) for name in names)
    return next((_copied(value) for value in values if value is not None), None)


def _first(answer: Any, count: int) -> list[Any]:
    """Return the gradients of `count` inputs, without what else a backward pass returns."""
    if isinstance(answer, (tuple, list)) and len(answer) >= count:
        return list(answer[:count])
    return [answer]


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _now(slot: Slot) -> Any:
    return np.copy(slot.leaf) if isinstance(slot.leaf, np.ndarray) else look(slot.holder, slot.key)


def _write(slot: Slot, numbers: Any) -> None:
    if isinstance(slot.leaf, np.ndarray):
        slot.leaf[...] = numbers
    else:
        assign(slot.holder, slot.key, numbers)


def layer_object(layer: Any, inputs: tuple[Any, ...]) -> tuple[Turned, Slots]:
    """Return a layer object as a cost and a gradient, with its checked inputs and arrays.

    Raises
    ------
    ProblemError
        ``no-parameters`` where neither an input nor an array with a gradient holds floats.
    """
    given = named(_forward(layer), inputs)
    made = _ObjectPass(layer, given)
    with put_back(layer):
        made.slots = _with_gradients(made, layer, given)
    entries: dict[str, Any] = {name: _copied(value) for name, value in given.items()}
    slots = [Slot(name, value, entries, PathEntry(name)) for name, value in entries.items()]
    whole = Slots([*slots, *made.slots], None, lambda answer: answer)
    whole.owner = whole
    base = turned(made, f"{name_of(layer)}.backward")

    def cost(inputs: Mapping[str, Any]) -> tuple[float, Any]:
        return base.cost({name: inputs[name] for name in inputs})

    cost.__qualname__ = made.name
    return base._replace(cost=cost), whole


def _with_gradients(made: _ObjectPass, layer: Any, given: dict[str, Any]) -> list[Slot]:
    """Return the arrays of a layer that have a gradient after its backward pass.

    An array that a second forward pass replaces is a cache.
    """
    foreign = current().extensions.flatten
    out, _ = made.forward(given)
    before = slots_of(layer, foreign)
    out, pull = made.forward(given)
    slots = [s for s in before if look(s.holder, s.key) is s.leaf or isinstance(s.leaf, float)]
    theta = Theta(out, foreign=foreign)
    with raised_as("gradient-raised", lambda error: f"{name_of(layer)}.backward raised {error}"):
        pull(theta.tree)
    found = [slot for slot in slots if slot.gradient() is not None]
    taken = {id(slot.gradient()) for slot in found}
    return [s for s in found if id(s.leaf) not in taken and s.name not in given]
