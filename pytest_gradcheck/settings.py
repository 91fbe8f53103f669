"""Settings of a check: one frozen dataclass, and the rule that finds each value.

A keyword of the call beats the marker, the marker the command line, the command line the ini file,
the ini file the default. This module imports no NumPy: a setting of the run needs it at the start.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_gradcheck.declarations import SETTINGS
from pytest_gradcheck.errors import ProblemError

__all__ = ["Settings", "merge", "nearest", "resolve", "unknown_name"]

Layer = tuple[str, Mapping[str, object]]
"""Where values come from ("command line"), and the values."""

_DECLARED = {row[0]: row for row in SETTINGS}


def _setting(name: str) -> Any:
    """Return the field of a setting as it is declared."""
    _, default, kind, text, choices = _DECLARED[name]
    return field(default=default, metadata={"kind": kind, "help": text, "choices": choices})


@dataclass(frozen=True)
class Settings:
    """Everything that steers a check.

    Raises
    ------
    ProblemError
        With code ``bad-setting`` where a value is impossible.

    Examples
    --------
    >>> Settings(fail_on="bug").suspect
    1e-05
    """

    mode: str = _setting("mode")
    eps: float | None = _setting("eps")
    suspect: float = _setting("suspect")
    bug: float = _setting("bug")
    fail_on: str = _setting("fail_on")
    strict: bool = _setting("strict")
    seeds: int = _setting("seeds")
    train: int = _setting("train")
    learning_rate: float = _setting("learning_rate")
    samples: int = _setting("samples")
    probes: int = _setting("probes")
    search_calls: int = _setting("search_calls")
    seed: int | None = _setting("seed")
    workers: int = _setting("workers")
    batched: bool = _setting("batched")
    only: tuple[str, ...] = _setting("only")
    exclude: tuple[str, ...] = _setting("exclude")
    inplace: bool = _setting("inplace")
    dropout: Any = _setting("dropout")
    disable: Mapping[str, object] | None = _setting("disable")
    regularization: Any = _setting("regularization")

    def __post_init__(self) -> None:
        for name in ("only", "exclude"):
            object.__setattr__(self, name, _names(name, getattr(self, name)))
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            _check_type(item, value)
            object.__setattr__(self, item.name, _plain(item.metadata["kind"], value))
        _check_ranges(self)


def nearest(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the name in `names` that is nearest, or an empty string."""
    import difflib  # only where something is wrong

    match = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" (did you mean {match[0]!r}?)" if match else ""


def unknown_name(names: Iterable[str], also: Sequence[str] = ()) -> str | None:
    """Return a message about the first of `names` that is no setting, or None."""
    known = [item.name for item in dataclasses.fields(Settings)] + list(also)
    for name in names:
        if name == "args" and name not in known:
            return (
                "args is no setting: give further arguments by position, gradcheck(cost, grad, "
                "params, X, Y), or by name, data={'X': X, 'Y': Y}"
            )
        if name not in known:
            return f"unknown setting {name!r}{nearest(name, known)}; known: {', '.join(known)}"
    return None


def merge(layers: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Join mappings of settings; the later wins."""
    merged: dict[str, object] = {}
    for layer in layers:
        merged.update(layer)
    return merged


def resolve(layers: Sequence[Layer]) -> tuple[Settings, dict[str, str]]:
    """Find every setting's value, and where it came from.

    Parameters
    ----------
    layers : sequence of (origin, values)
        The weakest first. A value of None counts as unset, so that an option that was not given
        lets the ini file through.

    Returns
    -------
    settings : Settings
    origins : dict of str to str
        For every setting that was set, the origin that won.

    Raises
    ------
    ProblemError
        With code ``bad-setting``, naming the nearest right name or the values that are possible.

    Examples
    --------
    >>> settings, origins = resolve([("ini", {"bug": 1e-2}), ("command line", {"bug": None})])
    >>> settings.bug, origins
    (0.01, {'bug': 'ini'})
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, layer in layers:
        if not layer:
            continue
        message = unknown_name(layer)
        if message:
            raise ProblemError("bad-setting", message)
        for name, value in layer.items():
            if value is not None:
                values[name] = value
                origins[name] = origin
    if not values:
        return _defaults(), origins
    try:
        return Settings(**values), origins
    except ProblemError as error:
        error.args = (_with_origin(str(error), origins),)
        raise


@functools.cache
def _defaults() -> Settings:
    return Settings()


def _with_origin(message: str, origins: Mapping[str, str]) -> str:
    for name, origin in origins.items():
        if message.startswith(f"bad-setting: {name} "):
            return f"{message} (from the {origin})"
    return message


def _names(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ProblemError("bad-setting", f"{name} takes a name or a list of names, not {value!r}")


def _check_type(item: dataclasses.Field[Any], value: object) -> None:
    kind = item.metadata["kind"]
    if kind == "choice" and value not in item.metadata["choices"]:
        choices = item.metadata["choices"]
        hint = nearest(value, choices) if isinstance(value, str) else ""
        raise ProblemError(
            "bad-setting", f"{item.name} is one of {', '.join(choices)}, not {value!r}{hint}"
        )
    if kind == "bool" or item.name == "inplace":
        if not isinstance(value, bool):
            raise ProblemError("bad-setting", f"{item.name} is True or False, not {value!r}")
    elif kind == "int" and value is not None:
        if isinstance(value, bool) or not hasattr(value, "__index__"):
            raise ProblemError("bad-setting", f"{item.name} is a whole number, not {value!r}")
    elif kind == "float" and value is not None and not _is_number(value):
        raise ProblemError("bad-setting", f"{item.name} is a finite number, not {value!r}")
    elif item.name == "disable" and not (value is None or isinstance(value, Mapping)):
        raise ProblemError(
            "bad-setting", f"disable maps names of data to their off values, not {value!r}"
        )


def _is_number(value: Any) -> bool:
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return False
    try:
        return math.isfinite(value)
    except (TypeError, ValueError, OverflowError):  # an array; an integer beyond all floats
        return False


def _plain(kind: str, value: Any) -> Any:
    """Return a number as Python's own type: a report of it is plain JSON."""
    if value is None or kind not in ("int", "float"):
        return value
    return operator.index(value) if kind == "int" else float(value)


def _check_ranges(settings: Settings) -> None:
    bounds = {
        "seeds": 1,
        "train": 0,
        "samples": 1,
        "probes": 1,
        "search_calls": 0,
        "workers": 1,
        "seed": 0,
    }
    for name, least in bounds.items():
        value = getattr(settings, name)
        if value is not None and value < least:
            raise ProblemError("bad-setting", f"{name} is at least {least}, not {value!r}")
    for name in ("eps", "suspect", "bug", "learning_rate"):
        value = getattr(settings, name)
        if value is not None and value <= 0:
            raise ProblemError("bad-setting", f"{name} is greater than 0, not {value!r}")
    if settings.mode == "probe" and settings.eps is not None:
        raise ProblemError(
            "bad-setting",
            "eps is the step of the classical check, which goes component by component, and "
            "mode='probe' goes by random directions: leave one of them out",
        )
    if settings.suspect > settings.bug:
        raise ProblemError(
            "bad-setting",
            f"suspect ({settings.suspect:g}) is no larger than bug ({settings.bug:g}): "
            "set both, or swap them",
        )
