"""Splits, one-hot targets and the digits."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_gradcheck.network import Splits, digits, one_hot, split


def numbered(labels: list[int]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    return np.arange(float(len(labels))).reshape(1, -1), one_hot(labels, classes=5)


def parts(splits: Splits) -> list[npt.NDArray[np.float64]]:
    return [splits.train.X[0], splits.dev.X[0], splits.test.X[0]]


labels = st.lists(st.integers(0, 4), min_size=20, max_size=200)
shares = st.floats(0.05, 0.45)


@given(labels, shares, shares, st.integers(0, 2**32))
def test_every_example_is_in_exactly_one_set_and_keeps_its_target(
    labels: list[int], dev: float, test: float, seed: int
) -> None:
    splits = split(*numbered(labels), np.random.default_rng(seed), dev=dev, test=test)
    assert sorted(np.concatenate(parts(splits))) == list(range(len(labels)))
    for X, Y in (splits.train, splits.dev, splits.test):
        assert [labels[int(number)] for number in X[0]] == Y.argmax(axis=0).tolist()


@given(labels, shares, shares, st.integers(0, 2**32))
def test_sizes_are_the_shares_and_so_are_those_of_every_class(
    labels: list[int], dev: float, test: float, seed: int
) -> None:
    splits = split(*numbered(labels), np.random.default_rng(seed), dev=dev, test=test)
    for share, examples in ((dev, splits.dev), (test, splits.test)):
        assert examples.X.shape[1] == round(share * len(labels))
        for label in range(5):
            expected = share * labels.count(label)
            assert abs(examples.Y[label].sum() - expected) <= 2


def test_the_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    X, Y = numbered([0, 1, 2, 3, 4] * 20)
    first, again, other = (parts(split(X, Y, np.random.default_rng(s))) for s in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


def test_classes_are_mixed_within_each_set() -> None:
    splits = split(*numbered([0] * 100 + [1] * 100), np.random.default_rng(0))
    first_half = splits.train.Y[0, : splits.train.Y.shape[1] // 2]
    assert 0.3 < first_half.mean() < 0.7


def test_a_dev_set_alone_will_do() -> None:
    splits = split(*numbered([0, 1] * 10), np.random.default_rng(0), dev=0.2, test=0)
    assert [part.size for part in parts(splits)] == [16, 4, 0]


def test_a_class_of_one_example_can_be_split() -> None:
    splits = split(*numbered([0] * 19 + [3]), np.random.default_rng(0))
    assert sum(Y[3].sum() for _, Y in (splits.train, splits.dev, splits.test)) == 1


@pytest.mark.parametrize(
    ("dev", "test", "message"),
    [
        (0.0, 0.1, "the dev set would be empty"),
        (0.01, 0.1, "the dev set would be empty: dev is too small for 10 examples"),
        (0.2, 0.01, "the test set would be empty"),
        (0.6, 0.4, "the train set would be empty"),
        (0.9, 0.9, "the train set would be empty"),
        (-0.1, 0.1, "dev is -0.1: it must lie between 0 and 1"),
        (0.1, 15, "test is 15: it must lie between 0 and 1"),
        (float("nan"), 0.1, "dev is nan"),
    ],
)
def test_shares_that_leave_a_set_empty_are_refused(dev: float, test: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split(*numbered([0, 1] * 5), np.random.default_rng(0), dev=dev, test=test)


def test_inputs_and_targets_of_unequal_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"has 3 examples and Y of shape .* has 4"):
        split(np.ones((2, 3)), np.ones((1, 4)), np.random.default_rng(0))


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(10, 12))
def test_one_hot_columns_hold_a_single_one_at_the_label(labels: list[int], classes: int) -> None:
    Y = one_hot(labels, classes)
    assert Y.shape == (classes, len(labels))
    assert Y.argmax(axis=0).tolist() == labels
    assert (Y.sum(axis=0) == 1).all()
    assert ((Y == 0) | (Y == 1)).all()


def test_one_hot_counts_the_classes_by_the_largest_label() -> None:
    assert one_hot([0, 3]).shape == (4, 2)


def test_a_negative_label_is_named_where_the_classes_are_not() -> None:
    with pytest.raises(ValueError, match=r"labels\[0\] is -1: with 1 classes"):
        one_hot([-1])


@pytest.mark.parametrize("classes", [0, -2])
def test_less_than_one_class_is_refused(classes: int) -> None:
    with pytest.raises(ValueError, match=f"classes is {classes}: there must be 1 or more"):
        one_hot([0], classes)


@pytest.mark.parametrize(("labels", "where"), [([0, 5], "1] is 5"), ([-1, 0], "0] is -1")])
def test_a_label_out_of_range_is_refused_by_position(labels: list[int], where: str) -> None:
    with pytest.raises(ValueError, match=rf"labels\[{where}.*between 0 and 2"):
        one_hot(labels, classes=3)


@pytest.mark.parametrize("labels", [[], [0.0, 1.0], [[0, 1]], ["a"], 3])
def test_what_are_no_labels_is_refused(labels: Any) -> None:
    with pytest.raises(ValueError, match="must be a sequence of one integer or more"):
        one_hot(labels)


def test_digits_are_images_as_columns_with_one_hot_targets() -> None:
    pytest.importorskip("sklearn")
    X, Y = digits()
    assert X.shape == (64, 1797)
    assert Y.shape == (10, 1797)
    assert X.dtype == Y.dtype == np.float64
    assert (X.min(), X.max()) == (0, 16)
    assert (Y.sum(axis=0) == 1).all()


def test_digits_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match="pip install"):
        digits()
