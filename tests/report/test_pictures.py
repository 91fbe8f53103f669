"""What stands in the pictures of the page, as a reader sees it."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("matplotlib")

from pytest_gradcheck.report.html.pictures import curve_picture, scatter_picture


def written(picture: str) -> list[str]:
    """Return the texts of a picture."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", picture)


@pytest.mark.parametrize("largest", [1e-9, 1e-3, 1.0])
def test_steps_of_a_curve_are_numbers_and_no_formulas(largest: float) -> None:
    steps = [largest * 10.0**-k for k in range(6)]
    drawn = {
        "steps": steps,
        "errors": steps,
        "chosen": steps[2],
        "error_bar": 0.0,
        "name": "w[$0$]",
    }
    ticks = [said for said in written(curve_picture(drawn, "")[0]) if said[:1].isdigit()]
    assert len(ticks) >= 6
    assert all(float(tick) > 0 for tick in ticks)


def test_a_scatter_of_small_gradients_has_ticks_that_differ() -> None:
    values = [0.001, 0.002, 0.004]
    drawn = {"analytic": values, "numerical": values, "wrong": [False] * 3}
    ticks = [said for said in written(scatter_picture(drawn, None, "")[0]) if said[:1].isdigit()]
    assert len(set(ticks)) >= 4
