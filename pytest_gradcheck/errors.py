"""Errors of a check, and the exceptions that pass through it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

__all__ = [
    "WISHES",
    "GradcheckWarning",
    "Guard",
    "ProblemError",
    "first_error_wins",
    "printable",
    "raised_as",
    "summary",
    "wishes",
]

WISHES = (
    ("unittest.case", "SkipTest"),
    ("_pytest.outcomes", "OutcomeException"),
    ("_pytest.outcomes", "Exit"),
    ("hypothesis.errors", "UnsatisfiedAssumption"),
    ("bdb", "BdbQuit"),
)
"""Exceptions by which a user controls the test: they are no failures of the function that raises
them.

They are listed by module and name, since none of these modules should be imported here."""


def wishes() -> tuple[type[BaseException], ...]:
    """Return the exceptions that pass through a check: skip, exit, fail, assume, quit.

    For an ``except`` clause before ``except Exception``: it is evaluated only if something is
    raised.
    """
    modules = ((sys.modules.get(home), name) for home, name in WISHES)
    return tuple(getattr(module, name) for module, name in modules if hasattr(module, name))


class first_error_wins:
    """Call `undo` at the end of a block; an error in the block hides one in `undo`.

    Every row of cost calls is such a block. A class enters and leaves it in a third of the time of
    a generator.

    Parameters
    ----------
    undo : callable

    Examples
    --------
    >>> try:
    ...     with first_error_wins(lambda: 1 / 0):
    ...         raise KeyError("first")
    ... except KeyError as error:
    ...     print(repr(error))
    KeyError('first')
    """

    def __init__(self, undo: Callable[[], object]) -> None:
        self._undo = undo

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        first: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if first is None:
            self._undo()
            return
        try:
            self._undo()
        except Exception as second:
            if hasattr(first, "add_note"):  # from Python 3.11 on
                first.add_note(f"putting things back failed as well: {second!r}")


class ProblemError(ValueError):
    """A pair that cannot be checked, or a setting that cannot be used.

    Attributes
    ----------
    code : str
        A stable identifier: ``"shape-mismatch"``, ``"nondeterministic-cost"``, ….
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message.encode('utf-8', 'backslashreplace').decode()}")
        self.code = code

    def __reduce__(self) -> tuple[Callable[..., ProblemError], tuple[str, str], dict[str, object]]:
        """Let a pool of processes send it, which would look for its class in ``builtins``."""
        return _problem_error, (self.code, str(self).removeprefix(f"{self.code}: ")), self.__dict__


def summary(error: Exception) -> str:
    """Return an exception's type with the first line of its message."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


@contextmanager
def raised_as(code: str, message: Callable[[str], str]) -> Iterator[None]:
    """Raise an exception of a user's function as a ProblemError.

    ProblemErrors pass unchanged, and so do the exceptions of `wishes`.

    Parameters
    ----------
    code : str
    message : callable
        Takes the `summary` of the exception, and returns the message.

    Examples
    --------
    >>> try:
    ...     with raised_as("cost-raised", lambda error: f"loss raised {error}"):
    ...         {}["x"]
    ... except ProblemError as error:
    ...     print(error)
    cost-raised: loss raised KeyError: 'x'
    """
    __tracebackhide__ = True
    try:
        yield
    except ProblemError:
        raise
    except wishes():
        raise
    except Exception as error:
        raise ProblemError(code, message(summary(error))) from error


def _problem_error(code: str, message: str) -> ProblemError:
    return ProblemError(code, message)


class GradcheckWarning(UserWarning):
    """A warning of the test run: nothing failed."""


def printable(text: str) -> str:
    r"""Escape characters that move the cursor, break the line or cannot be encoded.

    Names come from the user: any string may be one.

    Examples
    --------
    >>> print(printable("W_{hh}"), printable("a\nb"), printable("\x1b[31m"))
    W_{hh} a\nb \x1b[31m
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _ignore(error: Exception) -> None:
    """Do nothing."""


class Guard:
    """Catches errors of our own in diagnosis and drawing, so that the verdict survives them.

    Attributes
    ----------
    on_fault : callable
        Called with every such error; it may raise, as in the tests of this package.
    notes : list of str
        Messages of what failed.

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
        """Turn an exception in the block into a note."""
        try:
            yield
        except Exception as error:
            self.on_fault(error)
            said = " ".join(f"{type(error).__name__}: {error}".split())
            self.notes.append(f"{what} failed ({said}); the verdict stands")


# pytest prints an exception's module before its name. Without it the first line of a failure has
# room for the cause.
ProblemError.__module__ = "builtins"
