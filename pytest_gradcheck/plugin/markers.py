"""The markers of a test: merged, the closest first, and validated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_gradcheck.settings import MARK, PAIR_NAMES

if TYPE_CHECKING:
    from pytest_gradcheck.settings import Source

__all__ = ["MarkerOptions", "collect_markers", "marker_options"]


class MarkerOptions(NamedTuple):
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


MARKER_OPTIONS = pytest.StashKey[MarkerOptions]()


def collect_markers(
    items: Sequence[pytest.Item], sources: Sequence[Source]
) -> tuple[bool, list[str]]:
    """Read the markers of tests; return whether there are any, and their errors.

    Tests that use the fixture get a marker, so that ``-m gradcheck`` selects them.
    """
    found, wrong = False, []
    for item in items:
        marker = _merged(item)
        found |= marker.explicit or marker.fixture
        if marker.explicit:
            message = _marker_error(item, sources)
            if message:
                wrong.append(f"{item.nodeid}: {message}")
        elif marker.fixture:
            item.add_marker(MARK)
    return found, wrong


def marker_options(item: pytest.Item) -> MarkerOptions:
    """Return the markers that were read at collection."""
    return item.stash.get(MARKER_OPTIONS, None) or _merged(item)


def _merged(item: pytest.Item) -> MarkerOptions:
    marks = list(item.iter_markers(MARK))  # the closest first
    fixture = MARK in getattr(item, "fixturenames", ())
    if marks:
        options = _read(item.nodeid, fixture, marks)
    else:
        options = MarkerOptions(item.nodeid, False, fixture)
    item.stash[MARKER_OPTIONS] = options
    return options


def _read(name: str, fixture: bool, marks: Sequence[pytest.Mark]) -> MarkerOptions:
    from pytest_gradcheck.settings import merge

    values = merge(mark.kwargs for mark in reversed(marks))
    return MarkerOptions(
        name,
        True,
        fixture,
        {name: value for name, value in values.items() if name not in PAIR_NAMES},
        {name: value for name, value in values.items() if name in PAIR_NAMES},
    )


def _marker_error(item: pytest.Item, sources: Sequence[Source]) -> str | None:
    """Return the error in the markers of a test, or None."""
    from pytest_gradcheck.errors import ProblemError
    from pytest_gradcheck.settings import resolve, unknown_name

    for mark in item.iter_markers(MARK):
        if mark.args:
            return f"@pytest.mark.{MARK} takes keywords only, not {mark.args[0]!r}"
        message = unknown_name(mark.kwargs, also=PAIR_NAMES)
        if message:
            return f"@pytest.mark.{MARK}: bad-setting: {message}"
    marker = marker_options(item)
    missing = [name for name in ("cost", "grad", "params") if name not in marker.pair]
    if marker.pair and missing:
        return (
            f"@pytest.mark.{MARK}: bad-setting: a marker that names the pair has cost, grad and "
            f"params; {', '.join(missing)} is missing"
        )
    try:
        resolve([*sources, ("marker", marker.settings)])
    except ProblemError as error:
        return f"@pytest.mark.{MARK}: {error}"
    return None
