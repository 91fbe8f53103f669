"""The user's problem: a cost, its gradient and the parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_gradcheck.params.objects import is_initializer
from pytest_gradcheck.params.objects.slots import put_back
from pytest_gradcheck.problem import layers
from pytest_gradcheck.settings import SettingsKeywords

if sys.version_info >= (3, 11):
    from typing import Unpack
elif TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """A cost, its gradient and the parameters, with the settings of the call.

    The class methods take what the methods of `GradCheck` with the same names take, and are
    documented there.

    Attributes
    ----------
    cost : callable
        Returns a number, or a tuple that begins with it.
    grad : callable or True
        The backprop; True where `cost` returns ``(cost, gradients, ...)``.
    params : object
        An array, a number, or any nesting of containers of them; or a callable ``params(rng)``.
    args : tuple
        Further positional arguments of both functions.
    data : mapping, optional
        Arguments by name; either function takes those it names.
    settings : mapping
        Keywords of `gradcheck`.
    form : str
        ``gradient``, ``jacobian``, ``hessian`` or ``jvp``: what `grad` is of `cost`.
    details : mapping
        Details of a form: ``lower`` of a Hessian, ``vjp`` of a pushforward, ``outputs`` of a layer
        or pullback and the user's own ``functions``, ``notes`` for the report.

    Examples
    --------
    >>> import numpy as np
    >>> Problem(np.sum, np.ones_like, np.zeros(3)).args
    ()
    """

    cost: Callable[..., Any]
    grad: Callable[..., Any] | bool
    params: Any
    args: tuple[Any, ...] = ()
    data: Mapping[str, Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    form: str = "gradient"
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def jacobian(
        cls,
        fun: Callable[..., Any],
        jac: Callable[..., Any] | bool,
        params: Any,
        *args: Any,
        data: Mapping[str, Any] | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> Problem:
        """Return the problem of a function of many outputs and its Jacobian."""
        return cls(fun, jac, params, args, data, dict(settings), "jacobian")

    @classmethod
    def hessian(
        cls,
        grad: Callable[..., Any],
        hess: Callable[..., Any] | bool,
        params: Any,
        *args: Any,
        data: Mapping[str, Any] | None = None,
        lower: bool = False,
        **settings: Unpack[SettingsKeywords],
    ) -> Problem:
        """Return the problem of a gradient and its Hessian."""
        details = {"lower": lower}
        return cls(grad, hess, params, args, data, dict(settings), "hessian", details)

    @classmethod
    def jvp(
        cls,
        f: Callable[..., Any],
        jvp: Callable[..., Any],
        *inputs: Any,
        vjp: Callable[..., Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> Problem:
        """Return the problem of a function and its pushforward."""
        drawn = [is_initializer(value) for value in inputs]

        def outputs(inputs: Mapping[str, Any], **given: Any) -> Any:
            call = layers.with_data(f, given)
            goes_without = not layers.accepts(call, len(inputs)) and layers.accepts(call, 0)
            return call() if goes_without else call(*inputs.values())

        def params(rng: Any) -> dict[str, Any]:
            values = [
                value(*[rng] if layers.accepts(value, 1) else []) if is_drawn else value
                for value, is_drawn in zip(inputs, drawn, strict=True)
            ]
            return layers.named(f, tuple(values), data or ())

        outputs.__qualname__ = layers.name_of(f)
        given = params if any(drawn) else params(None)
        return cls(outputs, jvp, given, (), data, dict(settings), "jvp", {"vjp": vjp})

    @classmethod
    def layer(
        cls,
        forward: Any,
        *backward_and_inputs: Any,
        **settings: Unpack[SettingsKeywords],
    ) -> Problem:
        """Return the problem of a layer and its backward pass.

        The cost is the sum of the output times a random, fixed upstream gradient: a constant one
        would cancel in normalizing layers and hide faults.
        """
        if layers.is_layer_object(forward, backward_and_inputs):
            turned, slots = layers.layer_object(forward, backward_and_inputs)
            problem = cls._turned(turned, slots, {**settings, "inplace": True})
            around = partial(put_back, forward)
            return replace(problem, details={**problem.details, "around": around})
        backward, *inputs = backward_and_inputs
        made = layers.layer(forward, backward)
        return cls._turned(made, layers.named(forward, tuple(inputs)), settings)

    @classmethod
    def vjp(
        cls,
        f: Callable[..., Any],
        *inputs: Any,
        primal: Callable[..., Any] | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> Problem:
        """Return the problem of a function that returns its pullback."""
        made = layers.pullback(f, primal)
        return cls._turned(made, layers.named(f, inputs), settings)

    @classmethod
    def autograd(
        cls, f: Callable[..., Any], *inputs: Any, **settings: Unpack[SettingsKeywords]
    ) -> Problem:
        """Return the problem of a function of a framework's tensors."""
        made = layers.differentiated(f, inputs)
        problem = cls._turned(made.turned, made.params, settings)
        data = {} if made.owner is None else {"module": made.owner}
        return replace(problem, data=data, details={**problem.details, "notes": made.notes})

    @classmethod
    def _turned(
        cls, made: layers.Turned, params: Mapping[str, Any], settings: Mapping[str, Any]
    ) -> Problem:
        details = {"outputs": made.outputs, "functions": made.functions}
        return cls(made.cost, made.gradient, params, (), {}, dict(settings), details=details)
