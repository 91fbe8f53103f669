"""The errors a check raises: a wrong gradient, and a pair that cannot be checked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_gradcheck.report import Report

__all__ = ["GradcheckWarning", "GradientError", "ProblemError"]


class GradientError(AssertionError):
    """A gradient that differs from the two-sided differences of its cost.

    An ``AssertionError``, so that pytest reports it as a failure of the test and ``xfail``,
    ``--pdb``, ``--lf`` and reruns treat it as any other.

    Attributes
    ----------
    report : Report
        The finished check, with every component that is not right.
    """

    def __init__(self, report: Report, text: str | None = None) -> None:
        super().__init__(str(report) if text is None else text)
        self.report = report


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


# pytest prints an exception's module before its name; three short names need none, and the first
# line of a failure then has room for the verdict.
for _error in (GradientError, ProblemError):
    _error.__module__ = "builtins"
