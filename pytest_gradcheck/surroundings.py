"""What surrounds a check: settings in force, the style of its text, who hears of its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_gradcheck.containers import Foreign
    from pytest_gradcheck.progress import Watcher
    from pytest_gradcheck.report import Finding, Report

__all__ = ["Context", "Extensions", "Style"]


class Style(NamedTuple):
    """How the text of a report is drawn: its columns, and whether only ASCII may be used."""

    width: int = 72
    ascii: bool = False


class Extensions:
    """What others add to a check; nothing, unless pytest's hooks stand behind it."""

    def still(self, value: object) -> AbstractContextManager[object] | None:
        """Return a context manager that switches off the randomness of a model, or None."""
        return None

    @property
    def flatten(self) -> Foreign | None:
        """What takes containers and arrays apart that the core does not know, or None."""
        return None

    def diagnose(self, report: Report) -> Sequence[Finding]:
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
    extensions : Extensions
    """

    layers: tuple[tuple[str, Mapping[str, object]], ...] = ()
    seed: int = 0
    style: Style = Style()
    before: Callable[[], None] | None = None
    receive: Callable[[Report], None] | None = None
    watcher: Watcher | None = None
    canary: bool = False
    extensions: Extensions = Extensions()
