"""A stack of contexts: what surrounds a check, and who hears of its report.

The core does not know pytest. The plugin enters a context for the run; without any, a check runs
with the defaults and nobody listens. A plain list, not a ``ContextVar``, so that a check in a
thread which a test started belongs to that test too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_gradcheck.errors import first_error_wins

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_gradcheck.progress import Watcher

__all__ = ["Context", "Extensions", "Style", "current", "entered"]


class Style(NamedTuple):
    """How the text of a report is drawn: its columns, and whether only ASCII may be used."""

    width: int = 72
    ascii: bool = False


def evaluating(model: Any) -> AbstractContextManager[object] | None:
    """Return what puts a model with a training mode out of it for a while, or None.

    That is one with ``training``, ``train()`` and ``eval()``, as modules of PyTorch have them.
    """
    if getattr(model, "training", None) is not True:
        return None
    return _out_of_training(model) if hasattr(model, "train") and hasattr(model, "eval") else None


@contextmanager
def _out_of_training(model: Any) -> Iterator[None]:
    parts = list(model.modules()) if callable(getattr(model, "modules", None)) else []
    were_out = [part for part in parts if getattr(part, "training", True) is False]

    def train() -> None:
        model.train()
        for part in were_out:
            part.eval()

    with first_error_wins(train):  # eval() may fail halfway through its layers
        model.eval()
        yield


class Extensions:
    """What others add to a check; nothing, unless pytest's hooks stand behind it.

    Reports and findings are those of the room ``report``, which stands above this module.
    """

    def still(self, value: object) -> AbstractContextManager[object] | None:
        """Return a context manager that switches off the randomness of a model, or None."""
        return evaluating(value)

    @property
    def flatten(self) -> Callable[[Any], Any] | None:
        """What takes containers and arrays apart that the core does not know, or None."""
        return None

    def diagnose(self, report: Any) -> Sequence[Any]:
        """Return further findings about a report."""
        return ()


class Context(NamedTuple):
    """The surroundings of a check.

    Attributes
    ----------
    layers : tuple of (origin, values)
        Settings of the surroundings, the weakest first.
    seed : int
        Where random choices start unless a setting says otherwise.
    style : Style
    before : callable or None
        Called before a check that may raise; it may skip the test.
    receive : callable or None
        Called with every finished report.
    watcher : Watcher or None
        Told how far a check has come.
    canary : bool
        Whether every check also proves that it would notice planted faults.
    draws : bool
        Whether a page is asked for: a check that fails then looks at many steps of one component.
    extensions : Extensions
    """

    layers: tuple[tuple[str, Mapping[str, object]], ...] = ()
    seed: int = 0
    style: Style = Style()
    before: Callable[[], None] | None = None
    receive: Callable[[Any], None] | None = None
    watcher: Watcher | None = None
    canary: bool = False
    draws: bool = False
    extensions: Extensions = Extensions()


_stack: list[Callable[[], Context]] = [Context]


def current() -> Context:
    """Return the innermost context."""
    return _stack[-1]()


class entered:
    """Make a context the innermost one for the length of a ``with`` block.

    Parameters
    ----------
    context : Context or callable
        What makes one; it is called by every check, and so not at all in a run without any.
    """

    def __init__(self, context: Context | Callable[[], Context]) -> None:
        self._make = context if callable(context) else lambda: context

    def __enter__(self) -> entered:
        _stack.append(self._make)
        return self

    def __exit__(self, *raised: object) -> None:
        _stack.remove(self._make)
