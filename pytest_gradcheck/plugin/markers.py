"""The markers of a test: merged, the closest first, and validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_gradcheck.settings import MARK, PAIR_NAMES

if TYPE_CHECKING:
    from pytest_gradcheck.settings import Layer

__all__ = ["Marking", "noted", "read"]


class Marking(NamedTuple):
    """The merged markers of a test.

    Attributes
    ----------
    name : str
        The test's node id, without what xdist appends for groups.
    explicit : bool
        Whether the test has a marker in its source.
    fixture : bool
        Whether the test uses the fixture.
    settings, pair : mapping
        The two kinds of keywords of a marker.
    """

    name: str
    explicit: bool = False
    fixture: bool = False
    settings: Mapping[str, Any] = {}
    pair: Mapping[str, Any] = {}


MARKING = pytest.StashKey[Marking]()


def read(items: Sequence[pytest.Item], layers: Sequence[Layer]) -> tuple[bool, list[str]]:
    """Read the markers of tests; return whether there are any, and their errors.

    Tests that use the fixture get a marker, so that ``-m gradcheck`` selects them.
    """
    found, wrong = False, []
    for item in items:
        marking = _noted(item)
        found |= marking.explicit or marking.fixture
        if marking.explicit:
            message = _fault(item, layers)
            if message:
                wrong.append(f"{item.nodeid}: {message}")
        elif marking.fixture:
            item.add_marker(MARK)
    return found, wrong


def noted(item: pytest.Item) -> Marking:
    """Return the markers that were read at collection."""
    return item.stash.get(MARKING, None) or _noted(item)


def _noted(item: pytest.Item) -> Marking:
    marks = list(item.iter_markers(MARK))  # the closest first
    fixture = MARK in getattr(item, "fixturenames", ())
    marking = _read(item.nodeid, fixture, marks) if marks else Marking(item.nodeid, False, fixture)
    item.stash[MARKING] = marking
    return marking


def _read(name: str, fixture: bool, marks: Sequence[pytest.Mark]) -> Marking:
    from pytest_gradcheck.settings import merge

    values = merge(mark.kwargs for mark in reversed(marks))
    return Marking(
        name,
        True,
        fixture,
        {name: value for name, value in values.items() if name not in PAIR_NAMES},
        {name: value for name, value in values.items() if name in PAIR_NAMES},
    )


def _fault(item: pytest.Item, layers: Sequence[Layer]) -> str | None:
    """Return the error in the markers of a test, or None."""
    marks = list(item.iter_markers(MARK))
    if not marks:
        return None
    from pytest_gradcheck.errors import ProblemError
    from pytest_gradcheck.settings import resolve, unknown_name

    for mark in marks:
        if mark.args:
            return f"@pytest.mark.{MARK} takes keywords only, not {mark.args[0]!r}"
        message = unknown_name(mark.kwargs, also=PAIR_NAMES)
        if message:
            return f"@pytest.mark.{MARK}: bad-setting: {message}"
    marking = noted(item)
    missing = [name for name in ("cost", "grad", "params") if name not in marking.pair]
    if marking.pair and missing:
        return (
            f"@pytest.mark.{MARK}: bad-setting: a marker that names the pair has cost, grad and "
            f"params; {', '.join(missing)} is missing"
        )
    try:
        resolve([*layers, ("marker", marking.settings)])
    except ProblemError as error:
        return f"@pytest.mark.{MARK}: {error}"
    return None
