"""What a check raises about a pair that cannot be checked, and what it warns of."""

from __future__ import annotations

__all__ = ["GradcheckWarning", "ProblemError"]


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


# pytest prints an exception's module before its name; a short name needs none, and the first line
# of a failure then has room for what was found.
ProblemError.__module__ = "builtins"
