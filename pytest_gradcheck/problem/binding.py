"""The binding of a user's function: which of its arguments take the params, data and cache.

Without `data` the call is ``f(params, *args)``. With it arguments are matched by name: the one
required argument that is left takes the params, and one named ``cache`` takes what the cost
returned beside its value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn

from pytest_gradcheck.errors import ProblemError, wishes
from pytest_gradcheck.params.theta import Theta
from pytest_gradcheck.problem.layers import accepts, by_keyword, name_of

__all__ = ["Call", "accepts", "bound"]

USUAL = ("params", "parameters", "theta", "weights", "w", "W")
"""Usual names of the argument that takes the params."""


def _nothing() -> None:
    """Do nothing: arguments that are matched by name need no check."""


class Call(NamedTuple):
    """A call of a user's function.

    Attributes
    ----------
    function : callable
    args : tuple
        Positional arguments without the params.
    keywords : mapping
        Keyword arguments without the params and the cache.
    params : int, str or None
        The position or the name of the argument that takes the params; None if none does.
    wants_cache : bool
        Whether it takes what the cost returned beside its value.
    blame : callable
        Raises ``unbound-argument`` if the call itself causes a TypeError.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: Mapping[str, Any]
    params: str | int | None
    wants_cache: bool = False
    blame: Callable[[], None] = _nothing

    def with_tree(self, tree: Any, **cache: Any) -> Callable[[], Any]:
        """Return the call with all arguments filled in, as a `partial`, which is cheap."""
        if isinstance(self.params, int):
            args = (*self.args[: self.params], tree, *self.args[self.params :])
            return partial(self.function, *args, **self.keywords, **cache)
        if self.params is None:
            return partial(self.function, *self.args, **self.keywords, **cache)
        return partial(self.function, *self.args, **self.keywords, **cache, **{self.params: tree})

    def at(self, theta: Theta) -> Callable[[], Any]:
        """Return a call that takes the current params each time."""
        if theta.rebuilt:
            return lambda: self.with_tree(theta.tree)()
        return self.with_tree(theta.tree)  # one object throughout: its arrays are views

    def refuse(self, code: str, message: str, error: Exception) -> NoReturn:
        """Raise an exception of the function as a ProblemError.

        ProblemErrors pass unchanged, and so do the exceptions of `wishes`: a skip, say.
        """
        __tracebackhide__ = True
        if isinstance(error, (ProblemError, *wishes())):
            raise error
        if isinstance(error, TypeError):
            self.blame()
        raise ProblemError(code, message) from error


def bound(
    function: Any, args: tuple[Any, ...], data: Mapping[str, Any] | None, inplace: bool, role: str
) -> Call:
    """Decide, once, how a user's function is called.

    Raises
    ------
    ProblemError
        ``unbound-argument``, naming the argument, where `data` says which takes what.
    """
    if data is None:
        if inplace and _goes_without(function, len(args)):
            return Call(function, args, {}, None)
        # A wrong number shows at the first call; reading a signature now would take time.
        return Call(function, args, {}, 0, blame=partial(_check_positional, function, args, role))
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise ProblemError(
            "unbound-argument",
            f"the {role} {name_of(function)} has no signature to match data with: wrap it in a "
            "function that names its arguments",
        ) from error
    return _by_name(function, list(parameters), data, inplace, role)


def _by_name(
    function: Any,
    parameters: list[inspect.Parameter],
    data: Mapping[str, Any],
    inplace: bool,
    role: str,
) -> Call:
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    wants_cache = role == "gradient" and any(
        p.name == "cache" and p.name not in data for p in named
    )
    left = [
        p
        for p in named
        if p.default is p.empty
        and p.name not in data
        and not (p.name == "cache" and role == "gradient")
    ]
    if len(left) > 1:
        names = ", ".join(p.name for p in left)
        raise ProblemError(
            "unbound-argument",
            f"the {role} {name_of(function)} has more than one argument that data does not name, "
            f"{names}: one of them takes the params; put the others into data={{...}}",
        )
    target = left[0] if left else _optional_target(named, data)
    if target is None and not wants_cache and not inplace:
        raise ProblemError(
            "unbound-argument",
            f"no argument of the {role} {name_of(function)} is left to take the params, as data "
            "names them all: take the params' name out of data, or say inplace=True if the "
            "network owns its arrays",
        )
    first = [p for p in named if p.kind is p.POSITIONAL_ONLY]
    before = tuple(data.get(p.name, p.default) for p in first if p is not target)
    by_place = target is not None and target in first
    place: str | int | None = None
    if target is not None:
        place = first.index(target) if by_place else target.name
    return Call(function, before, by_keyword(parameters, data), place, wants_cache)


def _optional_target(
    named: list[inspect.Parameter], data: Mapping[str, Any]
) -> inspect.Parameter | None:
    """Return an optional argument that has a usual name of params, or None."""
    return next((p for p in named if p.name in USUAL and p.name not in data), None)


def _goes_without(function: Any, count: int) -> bool:
    """Return whether a network that owns its arrays is called with its `count` arguments alone.

    ``loss(x, t, train=False)`` could take params, x and t as well. But x and t are all that it
    requires, and its first argument has no name of params.
    """
    if not accepts(function, count):
        return False
    if not accepts(function, 1 + count):
        return True
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return False
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = sum(p.default is p.empty for p in by_place)
    return required == count and bool(by_place) and by_place[0].name not in USUAL


def _check_positional(function: Any, args: tuple[Any, ...], role: str) -> None:
    """Refuse a call that misses an argument, naming it."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return  # a builtin without a signature: its own error says what is wrong
    required = [
        p
        for p in parameters
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if not required and not args and not accepts(function, 1):
        raise ProblemError(
            "unbound-argument",
            f"the {role} {name_of(function)} takes no argument, so the params cannot reach it: if "
            "the network owns its arrays, hand over those arrays and say inplace=True",
        )
    missing = required[1 + len(args) :] + [
        p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty
    ]
    if missing:
        names = ", ".join(p.name for p in missing)
        raise ProblemError(
            "unbound-argument",
            f"nothing fills the argument{'s' * (len(missing) > 1)} {names} of the {role} "
            f"{name_of(function)}: give data={{...}} by name, or further positional arguments",
        )
