"""A stack of contexts: settings, seed and callbacks of a check.

The core does not know pytest. The plugin enters a context for the run; without one, a check has the
defaults and no callbacks. The stack is a plain list and not a ``ContextVar``, so that a check in a
thread belongs to the test that started the thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_gradcheck.errors import first_error_wins

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from pytest_gradcheck.progress import ProgressListener

__all__ = ["Context", "Extensions", "Style", "current", "use_context"]


class Style(NamedTuple):
    """The style of a report's text: its width in columns, and whether it is plain ASCII."""

    width: int = 72
    ascii: bool = False


def evaluating(model: Any) -> AbstractContextManager[object] | None:
    """Return a context manager that puts a model into evaluation mode; None if it has no modes.

    A model with modes has ``training``, ``train()`` and ``eval()``, as PyTorch's modules do.
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
    """Extensions of a check: none here; the plugin's own class calls pytest's hooks.

    The types of reports and findings are in the room ``report``, which imports this module.
    """

    def still(self, value: object) -> AbstractContextManager[object] | None:
        """Return a context manager that switches off the randomness of a model, or None."""
        return evaluating(value)

    @property
    def flatten(self) -> Callable[[Any], Any] | None:
        """A function that flattens containers and arrays of unknown types, or None."""
        return None

    def diagnose(self, report: Any) -> Sequence[Any]:
        """Return further findings about a report."""
        return ()


class Context(NamedTuple):
    """The context of a check.

    Attributes
    ----------
    sources : tuple of (origin, values)
        Settings by their origins, the weakest first.
    seed : int
        The seed of random choices, unless a setting has another.
    style : Style
    on_start : callable or None
        Called before a check that may raise; it may skip the test.
    on_report : callable or None
        Called with every finished report.
    listener : ProgressListener or None
        Is called with the progress of a check.
    canary : bool
        Whether every check has to notice planted faults as well.
    draws : bool
        Whether there will be an HTML page: a failing check then evaluates many steps of one
        component for its curve.
    extensions : Extensions
    """

    sources: tuple[tuple[str, Mapping[str, object]], ...] = ()
    seed: int = 0
    style: Style = Style()
    on_start: Callable[[], None] | None = None
    on_report: Callable[[Any], None] | None = None
    listener: ProgressListener | None = None
    canary: bool = False
    draws: bool = False
    extensions: Extensions = Extensions()


_stack: list[Callable[[], Context]] = [Context]


def current() -> Context:
    """Return the innermost context."""
    return _stack[-1]()


class use_context:
    """Make a context the innermost one for the length of a ``with`` block.

    Parameters
    ----------
    context : Context or callable
        A function that makes one; every check calls it, and a run without checks never does.
    """

    def __init__(self, context: Context | Callable[[], Context]) -> None:
        self._make = context if callable(context) else lambda: context

    def __enter__(self) -> use_context:
        _stack.append(self._make)
        return self

    def __exit__(self, *raised: object) -> None:
        _stack.remove(self._make)
