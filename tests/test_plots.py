"""The pictures of the pages are those that their script draws."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from drawing import bars, lines
from plots import DOCS, PICTURES


@pytest.mark.parametrize("name", list(PICTURES))
def test_a_picture_is_the_one_that_its_script_draws(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PICTURES[name](), (
        "run `python benchmarks/plots.py`, and look at the difference"
    )


def test_every_picture_is_on_a_page() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.glob("*.md"))
    assert [name for name in PICTURES if f"({name})" not in pages] == []
    assert {path.name for path in DOCS.glob("*.svg")} == set(PICTURES)


def test_bars_are_as_long_as_their_values_say() -> None:
    drawn = bars("title", "unit", {"one": 2.0, "other": 8.0, "none": 0.0}, ["one"])
    one, other, none = map(float, re.findall(r'<rect class="\w+" .*? width="([\d.]+)"', drawn))
    assert other == pytest.approx(4 * one, rel=0.01)
    assert none == 1.0  # a trace, so that its row is no gap
    assert drawn.count('class="ours"') == 1


def test_lines_leave_out_what_was_not_asked() -> None:
    drawn = lines(
        "title", ["1", "2", "3"], {"a": [100.0, 50.0, 0.0], "b": [0.0, float("nan"), 9.0]}, []
    )
    first, second = re.findall(r'points="([^"]*)"', drawn)
    assert len(first.split()) == 3
    assert len(second.split()) == 2
    assert "nan" not in drawn


def test_labels_of_lines_that_end_together_do_not_overlap() -> None:
    names = [f"rule {number}" for number in range(6)]
    drawn = lines("title", ["1", "2"], {name: [50.0, 0.0] for name in names}, [])
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="">rule', drawn))
    assert len(heights) == 6
    assert all(high - low >= 16 for low, high in pairwise(heights))
