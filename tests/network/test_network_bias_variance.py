"""What the errors of the train and dev sets say."""

from __future__ import annotations

import pytest

from pytest_gradcheck.network import diagnose


@pytest.mark.parametrize(
    ("train_error", "dev_error", "base_error", "high_bias", "high_variance"),
    [
        # The table of the course: 1 and 11, 15 and 16, 15 and 30, half and one per cent.
        (0.01, 0.11, 0.0, False, True),
        (0.15, 0.16, 0.0, True, False),
        (0.15, 0.30, 0.0, True, True),
        (0.005, 0.01, 0.0, False, False),
        # Where people do no better than 14 per cent, 15 is little bias.
        (0.15, 0.16, 0.14, False, False),
        (0.15, 0.30, 0.14, False, True),
    ],
)
def test_errors_are_reported_apart_as_in_the_course(
    train_error: float,
    dev_error: float,
    base_error: float,
    high_bias: bool,
    high_variance: bool,
) -> None:
    found = diagnose(train_error, dev_error, base_error=base_error)
    assert (found.high_bias, found.high_variance) == (high_bias, high_variance)
    assert found.bias == pytest.approx(train_error - base_error)
    assert found.variance == pytest.approx(dev_error - train_error)


def test_bias_is_cured_before_variance() -> None:
    assert "bigger" in diagnose(0.15, 0.30).advice[0]
    assert "more data" in diagnose(0.01, 0.30).advice[0]
    assert diagnose(0.0, 0.01).advice == ()


def test_the_tolerance_decides_what_is_high() -> None:
    assert diagnose(0.03, 0.03).high_bias
    assert not diagnose(0.03, 0.03, tolerance=0.05).high_bias


def test_the_words_have_the_figures_and_the_advice() -> None:
    words = str(diagnose(0.15, 0.16))
    assert words.startswith("high bias (15.0%), low variance (1.0%)\n- make the network bigger")


@pytest.mark.parametrize("value", [-0.1, 15.0, float("nan")])
def test_an_error_that_is_no_share_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="train_error is"):
        diagnose(value, 0.1)
    with pytest.raises(ValueError, match="dev_error is"):
        diagnose(0.1, value)
    with pytest.raises(ValueError, match="base_error is"):
        diagnose(0.1, 0.1, base_error=value)
    with pytest.raises(ValueError, match="tolerance is"):
        diagnose(0.1, 0.1, tolerance=value)
