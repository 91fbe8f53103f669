"""When to stop."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_gradcheck.network import EarlyStopping


def epochs_run(watch: EarlyStopping, costs: list[float]) -> int:
    for epoch, dev_cost in enumerate(costs, start=1):
        if watch.stop_after(epoch, dev_cost, {"W1": np.full((1, 1), float(epoch))}):
            return epoch
    return len(costs)


@pytest.mark.parametrize(
    ("costs", "patience", "ran", "best"),
    [
        ([3.0, 2.0, 2.5, 2.4, 1.0], 2, 4, 2),
        ([3.0, 2.0, 2.5, 1.0, 1.5, 1.5], 2, 6, 4),
        ([1.0, 1.0, 1.0], 1, 2, 1),
        ([3.0, 2.0, 2.5, 2.4, 2.3], None, 5, 2),
    ],
)
def test_it_stops_when_patience_is_at_an_end_and_keeps_the_best(
    costs: list[float], patience: int | None, ran: int, best: int
) -> None:
    watch = EarlyStopping(patience)
    assert epochs_run(watch, costs) == ran
    assert watch.best_epoch == best
    assert watch.best["W1"].item() == best


def test_no_patience_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="patience is 0"):
        EarlyStopping(patience=0)
