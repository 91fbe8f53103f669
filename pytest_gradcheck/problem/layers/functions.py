"""A function of a framework as a cost and a gradient: its checked tensors and their dtype."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from pytest_gradcheck.context import current
from pytest_gradcheck.errors import ProblemError, summary, wishes
from pytest_gradcheck.params.layout import lay_out
from pytest_gradcheck.params.objects import is_initializer
from pytest_gradcheck.params.streams import around_calls
from pytest_gradcheck.params.tree import Branch
from pytest_gradcheck.problem.layers.names import named
from pytest_gradcheck.problem.layers.passes import Turned, turned
from pytest_gradcheck.problem.layers.reverse import (
    Inputs,
    Reversed,
    ReverseMode,
    each,
    reverse_mode,
)


class Differentiated(NamedTuple):
    """A function whose gradient a framework computes, ready to be checked.

    Attributes
    ----------
    turned : Turned
    params : dict
        The checked tensors by name: parameters of the function itself, and inputs.
    owner : object or None
        The copy of a module that is called, so that its randomness can be switched off.
    notes : tuple of str
        Notes for the report.
    """

    turned: Turned
    params: Inputs
    owner: Any
    notes: tuple[str, ...]


class _Source(NamedTuple):
    """A function of named inputs, and its own parameters among them."""

    call: Callable[..., Any]
    own: Inputs
    inputs: Inputs
    owner: Any = None


def differentiated(f: Callable[..., Any], inputs: tuple[Any, ...]) -> Differentiated:
    """Return a function of a framework as a cost and a gradient.

    In float64 if a trial call succeeds, else in the dtype of the inputs.
    """
    names = named(_with_signature(f), inputs)
    mode = reverse_mode(f, names)
    source = _source(f, names)
    wide = _widened(source, mode)
    if wide is None:
        return _made(source, mode, False, ())
    try:
        made = _made(wide, mode, True, ("float32 inputs are checked in float64",))
        with around_calls(())():  # a trial that must not advance any generator
            _, cache = made.turned.cost(made.params)
            made.turned.gradient(cache)
    except ProblemError:
        return made  # of any dtype, and raised again in the check
    except wishes():
        raise
    except Exception as error:
        note = f"checked in float32, as the code refuses float64 ({summary(error)})"
        return _made(source, mode, False, (note,))
    return _made(wide, mode, True, made.notes)


def _made(source: _Source, mode: ReverseMode, wide: bool, notes: tuple[str, ...]) -> Differentiated:
    known = {name: each(value, mode.leaf) for name, value in (source.own | source.inputs).items()}
    checked, left = mode.checked(source.own, source.inputs)
    params = {name: known[name] for name in checked}
    made = Reversed(source.call, mode, wide, known)
    said = (f"left alone, as they require no gradient: {', '.join(left)}",) if left else ()
    output = partial(made.output, names=checked)
    name = f"the backward pass of {made.name}"
    return Differentiated(turned(made, name, output), params, source.owner, (*notes, *said))


def _with_signature(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that has the signature: `forward` where f calls it."""
    f = getattr(f, "fun", f)  # of a primitive of autograd
    owner = getattr(f, "__self__", f)
    forward = getattr(owner, "forward", None)
    if not callable(forward) or getattr(f, "__name__", "apply") != "apply":
        return f
    if isinstance(owner, type):  # PyTorch's Function.apply(x), of forward(ctx, x)
        return partial(forward, None)
    return forward if owner is f else f


def _source(f: Callable[..., Any], inputs: Inputs) -> _Source:
    """Return a function with its own parameters, where it is a module or an object."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(f, torch.nn.Module):
        return _module(copy.deepcopy(f), inputs)
    if is_initializer(f):
        return _Source(f, {}, inputs)
    foreign = current().extensions.flatten
    try:
        root = lay_out(f, foreign=foreign).root
    except ProblemError:  # nothing in it is a tensor
        return _Source(f, {}, inputs)
    if not isinstance(root, Branch):
        return _Source(f, {}, inputs)
    own = {key.text(True): item for key, item in zip(root.keys, root.items, strict=True)}

    def call(*values: Any) -> Any:
        items = [values[i] for i in range(len(own))]
        return root.of(items)(*values[len(own) :])

    call.__qualname__ = type(f).__qualname__
    return _Source(call, own, inputs)


def _module(twin: Any, inputs: Inputs) -> _Source:
    """Return a copy of a PyTorch module as a function of its parameters and its inputs."""
    torch = sys.modules["torch"]
    own = {name: p for name, p in twin.named_parameters() if p.requires_grad}

    def call(*values: Any) -> Any:
        parameters = dict(zip(own, values, strict=False))
        return torch.func.functional_call(twin, parameters, values[len(own) :])

    call.__qualname__ = type(twin).__qualname__
    return _Source(call, own, inputs, twin)


def _kind(value: Any) -> tuple[str, type]:
    return str(getattr(value, "dtype", "float64")), type(value)


def _widened(source: _Source, mode: ReverseMode) -> _Source | None:
    """Return a function and its inputs in float64, or None if they are float64 already."""
    changed: list[bool] = []

    def widen(value: Any) -> Any:
        wide = mode.widened(value)
        changed.append(wide is not value and (str(wide.dtype), type(wide)) != _kind(value))
        return wide

    inputs = {name: each(value, widen) for name, value in source.inputs.items()}
    own = {name: each(value, widen) for name, value in source.own.items()}
    if not any(changed):
        return None
    if source.owner is None:
        return source._replace(own=own, inputs=inputs)
    return _module(copy.deepcopy(source.owner).double(), inputs)
