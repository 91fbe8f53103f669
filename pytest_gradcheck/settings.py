"""Settings of a check: each is declared once, and `resolve` finds its value.

A keyword of the call beats the marker, the marker the command line, the command line the ini file,
the ini file the default. pytest loads this module at every start, so it imports no NumPy.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict, get_args

from pytest_gradcheck.errors import ProblemError

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "MARK",
    "PAIR_NAMES",
    "Declaration",
    "Mode",
    "Settings",
    "SettingsKeywords",
    "declarations",
    "merge",
    "nearest",
    "resolve",
    "unknown_name",
]

Source = tuple[str, Mapping[str, object]]
"""The origin of values ("command line"), and the values."""

Mode = Literal["auto", "full", "sample", "probe"]
"""Which components are differenced, and how."""

MARK = "gradcheck"
"""The name of the marker."""

PAIR_NAMES = ("cost", "grad", "params", "args", "data")
"""Keywords of a marker beside settings: the parts of the pair."""


class Declaration(NamedTuple):
    """The declaration of a setting.

    Attributes
    ----------
    name : str
    default : object
    kind : str
        ``int``, ``float``, ``bool``, ``choice``, ``names``; or ``code``, which is neither an option
        of the command line nor an ini key.
    help : str
        Its text in ``pytest --help`` and on the page of settings.
    choices : tuple of str
    """

    name: str
    default: Any
    kind: str
    help: str
    choices: tuple[str, ...]


def _setting(default: Any, kind: str, help: str = "", choices: tuple[str, ...] = ()) -> Any:
    """Declare a setting: a dataclass field whose metadata serve options and validation."""
    return field(default=default, metadata={"kind": kind, "help": help, "choices": choices})


# Python compiles what a dataclass generates, at every start of pytest: these three methods of all
# fields took two and a half of the eight milliseconds that the plugin added to a start.
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Settings:
    """The settings of a check.

    Raises
    ------
    ProblemError
        With code ``bad-setting`` where a value is impossible.

    Examples
    --------
    >>> Settings(fail_on="bug").suspect
    1e-05
    """

    mode: str = _setting(
        "auto",
        "choice",
        "full: every component; sample: some of every parameter; probe: random directions, then a "
        "search for what is wrong; auto: full up to 10,000 components, else probe and sample "
        "(default: auto)",
        get_args(Mode),
    )
    eps: float | None = _setting(
        None,
        "float",
        "fixed step of the classical check, without error bars (default: a step per component)",
    )
    noise: float | None = _setting(
        None, "float", "relative noise of the cost, as a solver's tolerance (default: measured)"
    )
    suspect: float = _setting(
        1e-05, "float", "relative error beyond which a component is suspect (default: 1e-5)"
    )
    bug: float = _setting(
        0.001, "float", "relative error beyond which a component is a bug (default: 1e-3)"
    )
    fail_on: str = _setting(
        "suspect", "choice", "the mildest verdict that fails (default: suspect)", ("suspect", "bug")
    )
    strict: bool = _setting(
        False,
        "bool",
        "also fail kinks, inconclusive components, vacuous checks and markers that checked nothing",
    )
    seeds: int = _setting(
        1, "int", "random initializations to check at; params must be a function (default: 1)"
    )
    train: int = _setting(
        0,
        "int",
        "steps of gradient descent with the user's gradient, to check again after (default: 0)",
    )
    learning_rate: float = _setting(0.1, "float", "step size of that descent (default: 0.1)")
    samples: int = _setting(
        20,
        "int",
        "components differenced: of each parameter in mode sample, of all together in auto beyond "
        "10,000 (default: 20)",
    )
    probes: int = _setting(
        4,
        "int",
        "random directions over all parameters; two at most in auto, where samples tell as well "
        "(default: 4)",
    )
    search_calls: int = _setting(
        4000, "int", "cost calls that a search for wrong components may take (default: 4000)"
    )
    seed: int | None = _setting(
        None, "int", "seed of every random choice (default: from the test's name)"
    )
    workers: int = _setting(
        1,
        "int",
        "joblib workers that share the components; needs the extra workers (default: 1)",
    )
    batched: bool = _setting(
        False, "bool", "the cost takes a leading axis of many thetas and returns a vector"
    )
    only: tuple[str, ...] = _setting(
        (), "names", "names or glob patterns of the parameters to check (default: all)"
    )
    exclude: tuple[str, ...] = _setting(
        (), "names", "names or glob patterns of parameters to leave out (default: none)"
    )
    locate: bool = _setting(
        True, "bool", "after a failed check, find the line at which the error enters (default: on)"
    )
    inplace: bool = _setting(
        False, "code", "perturb the user's own arrays, and put them back to the last bit"
    )
    dropout: Any = _setting(
        None,
        "code",
        "'freeze': check dropout under one mask for all calls; or a context manager that switches "
        "randomness off (default: switched off where data has one of its usual names)",
    )
    disable: Mapping[str, object] | None = _setting(
        None, "code", "entries of data to override: disable={'training': False}"
    )
    regularization: Any = _setting(
        None,
        "code",
        "a penalty that the cost leaves out and the gradient has: L2(lambd, m), L1(lambd, m)",
    )
    project: Any = _setting(
        None, "code", "a projection of changes of constrained params: lambda d: (d + d.T) / 2"
    )

    def __init__(self, **given: Unpack[SettingsKeywords]) -> None:
        values = vars(self)
        values.update(_default_values())
        for name, value in given.items():
            item = _fields().get(name)
            if item is None:
                raise ProblemError("bad-setting", str(unknown_name([name])))
            _check_type(item, value)
            values[name] = _plain(item.metadata["kind"], value)
        _check_ranges(self)

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other) if isinstance(other, Settings) else NotImplemented

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


@functools.cache
def _fields() -> dict[str, dataclasses.Field[Any]]:
    """Return the fields of `Settings` by their names."""
    return {item.name: item for item in dataclasses.fields(Settings)}


@functools.cache
def _default_values() -> dict[str, Any]:
    return {name: item.default for name, item in _fields().items()}


class SettingsKeywords(TypedDict, total=False):
    """The settings as keywords of a call, for type checkers; see `Settings`."""

    mode: Mode
    eps: float | None
    noise: float | None
    suspect: float
    bug: float
    fail_on: Literal["suspect", "bug"]
    strict: bool
    seeds: int
    train: int
    learning_rate: float
    samples: int
    probes: int
    search_calls: int
    seed: int | None
    workers: int
    batched: bool
    only: str | Sequence[str]
    exclude: str | Sequence[str]
    locate: bool
    inplace: bool
    dropout: Any
    disable: Mapping[str, object] | None
    regularization: Any
    project: Any


def declarations() -> tuple[Declaration, ...]:
    """Return the declarations of all settings, in the order of `Settings`."""
    return tuple(
        Declaration(item.name, item.default, **item.metadata) for item in _fields().values()
    )


def nearest(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the name in `names` that is nearest, or an empty string."""
    import difflib  # only if something is wrong

    match = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" (did you mean {match[0]!r}?)" if match else ""


def unknown_name(names: Iterable[str], also: Sequence[str] = ()) -> str | None:
    """Return a message about the first of `names` that is no setting, or None."""
    known = [*_fields(), *also]
    for name in names:
        if name == "args" and name not in known:
            return (
                "args is no setting: give further arguments by position, gradcheck(cost, grad, "
                "params, X, Y), or by name, data={'X': X, 'Y': Y}"
            )
        if name not in known:
            return f"unknown setting {name!r}{nearest(name, known)}; known: {', '.join(known)}"
    return None


def merge(sources: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """Join mappings of settings; the later wins."""
    merged: dict[str, object] = {}
    for given in sources:
        merged.update(given)
    return merged


def resolve(sources: Sequence[Source]) -> tuple[Settings, dict[str, str]]:
    """Find every setting's value, and where it came from.

    Parameters
    ----------
    sources : sequence of (origin, values)
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
    for origin, given in sources:
        if not given:
            continue
        message = unknown_name(given)
        if message:
            raise ProblemError("bad-setting", message)
        for name, value in given.items():
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
    elif kind == "names" and not _are_names(value):
        raise ProblemError(
            "bad-setting", f"{item.name} takes a name or a list of names, not {value!r}"
        )


def _are_names(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, Sequence) and all(isinstance(item, str) for item in value)
    )


def _is_number(value: Any) -> bool:
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return False
    try:
        return math.isfinite(value)
    except (TypeError, ValueError, OverflowError):  # an array; an integer beyond all floats
        return False


def _plain(kind: str, value: Any) -> Any:
    """Return a number as a builtin type, so that a report of it is plain JSON; names as a tuple."""
    if kind == "names":
        return (value,) if isinstance(value, str) else tuple(value)
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
    for name in ("eps", "noise", "suspect", "bug", "learning_rate"):
        value = getattr(settings, name)
        if value is not None and value <= 0:
            raise ProblemError("bad-setting", f"{name} is greater than 0, not {value!r}")
    if settings.mode == "probe" and settings.eps is not None:
        raise ProblemError(
            "bad-setting",
            "eps is the step of the classical check, which goes component by component, and "
            "mode='probe' goes by random directions: leave one of them out",
        )
    if settings.project is not None:
        _check_project(settings)
    if settings.suspect > settings.bug:
        raise ProblemError(
            "bad-setting",
            f"suspect ({settings.suspect:g}) is no larger than bug ({settings.bug:g}): "
            "set both, or swap them",
        )


def _check_project(settings: Settings) -> None:
    """Refuse a projection that is no function, and settings that exclude projected steps."""
    project = settings.project
    if not callable(project) and not isinstance(project, Mapping):
        raise ProblemError(
            "bad-setting",
            "project is a function of a change of the params, or a dict of functions by the names "
            f"of parameters, not {project!r}",
        )
    if settings.mode == "probe":
        raise ProblemError(
            "bad-setting",
            "project goes component by component, and mode='probe' by random directions: say "
            "mode='sample'",
        )
