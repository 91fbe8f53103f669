"""Where signals vanish or explode."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pytest_gradcheck.network import initialize, layer_statistics, one_hot

DEPTH, WIDTH, M = 12, 50, 80
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(WIDTH, M))
Y = one_hot(GENERATOR.integers(0, WIDTH, M), classes=WIDTH)


def network(factor: float = 1.0, method: str = "he") -> dict[str, npt.NDArray[np.float64]]:
    params = initialize((WIDTH,) * (DEPTH + 1), np.random.default_rng(1), method)
    return {name: factor * value for name, value in params.items()}


def test_he_is_healthy_with_relu_and_xavier_with_tanh() -> None:
    assert layer_statistics(network(), X, Y).healthy
    assert layer_statistics(network(method="xavier"), X, Y, activation="tanh").healthy


def test_small_weights_make_both_signals_vanish_far_from_where_they_start() -> None:
    report = layer_statistics(network(0.3), X, Y)
    assert not report.healthy
    assert (report.layers[0].forward, report.layers[-1].forward) == ("healthy", "vanishing")
    assert (report.layers[0].backward, report.layers[-1].backward) == ("vanishing", "healthy")


def test_large_weights_make_both_signals_explode_far_from_where_they_start() -> None:
    report = layer_statistics(network(3.0), X, Y)
    assert (report.layers[0].forward, report.layers[-1].forward) == ("healthy", "exploding")
    assert (report.layers[0].backward, report.layers[-1].backward) == ("exploding", "healthy")


def test_sigmoids_make_the_errors_vanish_though_the_activations_do_not() -> None:
    report = layer_statistics(network(method="xavier"), X, Y, activation="sigmoid")
    assert all(row.forward == "healthy" for row in report.layers)
    assert report.layers[0].backward == "vanishing"


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_a_number_has_exploded() -> None:
    report = layer_statistics({**network(), "b5": np.full((WIDTH, 1), np.nan)}, X, Y)
    assert [row.forward for row in report.layers[3:5]] == ["healthy", "exploding"]


def test_dead_units_are_counted() -> None:
    params = network()
    params["b3"] = np.where(np.arange(WIDTH) < 10, -1e6, 0.0).reshape(-1, 1)
    rows = layer_statistics(params, X, Y).layers
    assert rows[2].dead == pytest.approx(0.2, abs=0.05)
    assert rows[-1].dead == 0.0


def test_the_table_has_a_row_for_each_layer_within_80_columns() -> None:
    lines = str(layer_statistics(network(0.3), X, Y)).splitlines()
    assert len(lines) == DEPTH + 1
    assert max(map(len, lines)) <= 80
    assert lines[1].split()[0] == "1"
    assert lines[1].endswith("vanishing")


@pytest.mark.parametrize("factor", [1.0, 0.0, float("nan")])
def test_a_factor_that_cannot_be_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="it must be above 1"):
        layer_statistics(network(), X, Y, factor=factor)


def test_targets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="Y has shape"):
        layer_statistics(network(), X, Y[:, 1:])
