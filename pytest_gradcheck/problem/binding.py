"""How a user's function is called: which of its arguments take what.

Without `data` positionally, ``f(params, *args)``; with it by name: the one required argument left
over takes the params, and one named ``cache`` what the cost returned beside its value.
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
"""What people call the argument that takes the params."""


def _nothing() -> None:
    """Find no fault with a call whose arguments are matched by name."""


class Call(NamedTuple):
    """How to call a function of the user's.

    Attributes
    ----------
    function : callable
    args : tuple
        Its positional arguments but for the params.
    keywords : mapping
        Its arguments by name but for the params and the cache.
    params : int, str or None
        The place or the name of the argument that takes the params; None where none does.
    wants_cache : bool
        Whether it takes what the cost returned beside its value.
    blame : callable
        Raises ``unbound-argument`` where the call itself is at fault for a TypeError.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: Mapping[str, Any]
    params: str | int | None
    wants_cache: bool = False
    blame: Callable[[], None] = _nothing

    def with_tree(self, tree: Any, **cache: Any) -> Callable[[], Any]:
        """Return the call with everything filled in, as cheap to make as Python has it."""
        if isinstance(self.params, int):
            args = (*self.args[: self.params], tree, *self.args[self.params :])
            return partial(self.function, *args, **self.keywords, **cache)
        if self.params is None:
            return partial(self.function, *self.args, **self.keywords, **cache)
        return partial(self.function, *self.args, **self.keywords, **cache, **{self.params: tree})

    def at(self, theta: Theta) -> Callable[[], Any]:
        """Return the call with the params as they stand at each moment."""
        if theta.rebuilt:
            return lambda: self.with_tree(theta.tree)()
        return self.with_tree(theta.tree)  # one object throughout: its arrays are views

    def refuse(self, code: str, message: str, error: Exception) -> NoReturn:
        """Raise what a call of the function raised as a ProblemError.

        What was said in better words already passes as it is, and so do the user's wishes: a skip.
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
        # Whether it takes them shows when it is called; a signature takes its time to read.
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
    """Return the argument with a default that is called like parameters, or None."""
    return next((p for p in named if p.name in USUAL and p.name not in data), None)


def _goes_without(function: Any, count: int) -> bool:
    """Return whether a network that owns its arrays is called with its `count` arguments alone.

    ``loss(x, t, train=False)`` could take params, x and t as well, by their number; that nothing
    but x and t is required, and what its first argument is called, tells.
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
        return  # a builtin that tells no signature: its own error says what is wrong
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
