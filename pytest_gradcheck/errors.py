"""What a check raises about a pair that cannot be checked, and what it warns of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["GradcheckWarning", "Guard", "ProblemError"]


class ProblemError(ValueError):
    """A pair that cannot be checked, or a setting that cannot be used.

    Attributes
    ----------
    code : str
        What was found, in a stable word: ``"shape-mismatch"``, ``"nondeterministic-cost"``, ….
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code

    def __reduce__(self) -> tuple[type[ProblemError], tuple[str, str], dict[str, object]]:
        """Let a pool of processes send it: the default would call it with one argument."""
        return type(self), (self.code, str(self).removeprefix(f"{self.code}: ")), self.__dict__


class GradcheckWarning(UserWarning):
    """Something a reader of the test run should know, though nothing failed."""


def _ignore(error: Exception) -> None:
    """Do nothing."""


class Guard:
    """Keeps a fault of our own in words about a result from taking the result with it.

    Attributes
    ----------
    on_fault : callable
        Hears of every fault, and may raise: our own tests do.
    notes : list of str
        What failed, in words.

    Examples
    --------
    >>> guard = Guard(on_fault=print)
    >>> with guard.of("the rule scale"):
    ...     raise ZeroDivisionError("division by zero")
    division by zero
    >>> guard.notes
    ['the rule scale failed (ZeroDivisionError: division by zero); the verdict stands']
    """

    on_fault: Callable[[Exception], None] = staticmethod(_ignore)

    def __init__(self, on_fault: Callable[[Exception], None] | None = None) -> None:
        self.notes: list[str] = []
        if on_fault is not None:
            self.on_fault = on_fault

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        """Turn an exception within the block into a note."""
        try:
            yield
        except Exception as error:
            self.on_fault(error)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            self.notes.append(f"{what} failed ({said}); the verdict stands")


# pytest prints an exception's module before its name; a short name needs none, and the first line
# of a failure then has room for what was found.
ProblemError.__module__ = "builtins"
