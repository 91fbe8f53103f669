"""From raw examples to an honest figure, with the gradients checked on the way.

The order is that of the work: split, normalize, initialize, check the gradients, train, check
again, diagnose, and only then look at the test set. Each stage is a fixture, computed once, and the
tests say what has to be true of it; ``pytest -rP`` shows what they print, ``--basetemp plots`` puts
the plots into a folder of that name.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.figure import Figure

from pytest_gradcheck import GradCheck, check_gradients
from pytest_gradcheck.network import (
    Adam,
    Diagnosis,
    Examples,
    Normalizer,
    Splits,
    Training,
    accuracy,
    backprop,
    cost,
    diagnose,
    digits,
    error,
    initialize,
    layer_statistics,
    shift,
    split,
    train,
)

Array = npt.NDArray[np.float64]
Params = dict[str, Array]

SIZES = (64, 32, 10)
SETTINGS: dict[str, Any] = {"lambd": 1.0, "keep_prob": 0.9}
TOLERANCE = 0.1  # up to this, a bias or a variance is called low

mpl.use("agg")  # draws into files, and needs no screen


@pytest.fixture(scope="module")
def splits() -> Splits:
    return split(*digits(), np.random.default_rng(0))


def test_all_three_sets_come_from_one_distribution(splits: Splits) -> None:
    for name, (X, Y) in vars(splits).items():
        shares = Y.mean(axis=1)
        print(f"{name:5} {X.shape[1]:4} images, {shares.min():.1%} to {shares.max():.1%} a digit")
        assert np.all(np.abs(shares - 0.1) < 0.01)


@pytest.fixture(scope="module")
def sets(splits: Splits) -> Splits:
    normalize = Normalizer.fit(splits.train.X)
    return Splits(
        **{name: Examples(normalize(X), Y) for name, (X, Y) in vars(splits).items()},
    )


def test_inputs_are_normalized_by_the_figures_of_the_training_set(sets: Splits) -> None:
    varies = sets.train.X.std(axis=1) > 0
    print(f"{varies.sum()} of {len(varies)} pixels vary")
    assert np.allclose(sets.train.X.mean(axis=1), 0)
    assert np.allclose(sets.train.X[varies].std(axis=1), 1)
    # The other sets are near, and not at, 0 and 1: their own figures were never measured.
    assert 0.9 < sets.dev.X[varies].std() < 1.1


def test_first_weights_have_the_scale_of_their_layer() -> None:
    params = initialize(SIZES, np.random.default_rng(0))
    for layer, n_in in ((1, 64), (2, 32)):
        found, due = params[f"W{layer}"].std(), np.sqrt(2 / n_in)
        print(f"W{layer}: standard deviation {found:.2f}, and sqrt(2 / {n_in}) is {due:.2f}")
        assert abs(found / due - 1) < 0.1
        assert not params[f"b{layer}"].any()


@pytest.fixture(scope="module")
def batch(sets: Splits) -> Examples:
    return Examples(sets.train.X[:, :20], sets.train.Y[:, :20])


def test_gradients_are_right_at_three_initializations(
    gradcheck: GradCheck, batch: Examples
) -> None:
    data = {"X": batch.X, "Y": batch.Y, **SETTINGS}
    report = gradcheck(cost, backprop, partial(initialize, SIZES), data=data, mode="full", seeds=3)
    for note in report.notes:
        print(note)
    for point in report.points:
        print(f"{point.name}: {point.verdict}, relative error {point.relative_error:.1e}")


def test_the_backward_pass_of_dropout_is_right_too(gradcheck: GradCheck, batch: Examples) -> None:
    data = {"X": batch.X, "Y": batch.Y, **SETTINGS, "rng": np.random.default_rng(0)}
    start = partial(initialize, (64, 8, 10))
    report = gradcheck(cost, backprop, start, data=data, dropout="freeze")
    print(f"dropout on, under one mask: {report.verdict}")


def test_a_fault_is_found_before_any_training(batch: Examples) -> None:
    def penalty_doubled(params: Params, X: Array, Y: Array, lambd: float) -> Params:
        return backprop(params, X, Y, lambd=2 * lambd)

    data = {"X": batch.X, "Y": batch.Y, "lambd": 1.0}
    report = check_gradients(cost, penalty_doubled, partial(initialize, (64, 4, 10)), data=data)
    print(report)
    assert {component.parameter for component in report.components} == {"W1", "W2"}
    assert [point.passed for point in report.points] == [False, True]


@pytest.fixture(scope="module")
def plots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plots")


def plot(path: Path, curves: Mapping[str, tuple[Any, Any]], *, x: str, y: str, log: str) -> None:
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for label, (at, values) in curves.items():
        axes.plot(at, values, label=label)
    axes.set(xlabel=x, ylabel=y, xscale=log, yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
    print(f"plotted {path.name}")
    assert path.stat().st_size > 5000


def test_the_best_step_is_neither_large_nor_small(batch: Examples, plots: Path) -> None:
    params = initialize((64, 8, 10), np.random.default_rng(0))
    steps = 10.0 ** -np.arange(1, 13)
    errors = []
    for eps in steps:
        classical = partial(check_gradients, cost, backprop, params, eps=float(eps), only="W2")
        errors.append(classical(*batch).relative_error)
    best = int(np.argmin(errors))
    print(f"step {steps[0]:.0e}: relative error {errors[0]:.1e}, the step is too coarse")
    print(f"step {steps[best]:.0e}: relative error {errors[best]:.1e}, the best")
    print(f"step {steps[-1]:.0e}: relative error {errors[-1]:.1e}, rounding is all there is")
    curves = {"W2": (steps, errors)}
    plot(plots / "error_against_step.png", curves, x="step eps", y="error", log="log")
    assert 1e-7 < steps[best] < 1e-3
    assert min(errors[0], errors[-1]) > 1000 * errors[best]


def trained(
    sets: Splits, *, sizes: tuple[int, ...] = SIZES, examples: int | None = None, **settings: Any
) -> Training:
    rng = np.random.default_rng(1)
    X, Y = sets.train.X[:, :examples], sets.train.Y[:, :examples]
    given: dict[str, Any] = {"optimizer": Adam(0.005), "epochs": 20, "dev": sets.dev}
    return train(initialize(sizes, rng), X, Y, rng, **given | settings)


@pytest.fixture(scope="module")
def result(sets: Splits) -> Training:
    return trained(sets, patience=5, **SETTINGS)


def test_learning_curves_fall(result: Training, plots: Path) -> None:
    first, best = result.history[0], result.history[result.best_epoch - 1]
    print(f"after epoch 1: train error {first.train_error:.1%}, dev error {first.dev_error:.1%}")
    print(f"at the best:   train error {best.train_error:.1%}, dev error {best.dev_error:.1%}")
    epochs = [epoch.number for epoch in result.history]
    curves = {
        name: (epochs, [getattr(epoch, f"{name}_cost") for epoch in result.history])
        for name in ("train", "dev")
    }
    plot(plots / "learning_curves.png", curves, x="epoch", y="cost", log="linear")
    assert best.train_cost < first.train_cost / 5


def test_gradients_are_still_right_after_training(
    gradcheck: GradCheck, batch: Examples, result: Training
) -> None:
    data = {"X": batch.X, "Y": batch.Y, **SETTINGS}
    report = gradcheck(cost, backprop, result.params, data=data, mode="full")
    for point in report.points:
        print(f"{point.name}: {point.verdict}")


def diagnosed(result: Training, train_set: Examples, dev_set: Examples) -> Diagnosis:
    errors = error(result.params, *train_set), error(result.params, *dev_set)
    return diagnose(*errors, tolerance=TOLERANCE)


def test_a_network_that_is_too_small_has_high_bias(sets: Splits) -> None:
    small = trained(sets, sizes=(64, 2, 10))
    diagnosis = diagnosed(small, sets.train, sets.dev)
    print(diagnosis)
    assert diagnosis.high_bias


def test_a_network_with_few_examples_has_high_variance(sets: Splits) -> None:
    few = Examples(sets.train.X[:, :100], sets.train.Y[:, :100])
    diagnosis = diagnosed(trained(sets, examples=100), few, sets.dev)
    print(diagnosis)
    assert diagnosis.high_variance
    assert not diagnosis.high_bias


@pytest.fixture(scope="module")
def final(splits: Splits, sets: Splits) -> Training:
    """Train with what the two diagnoses advise: more units, more images, regularization."""
    rng = np.random.default_rng(2)
    moved = Normalizer.fit(splits.train.X)(shift(splits.train.X, rng, shape=(8, 8)))
    X, Y = np.hstack([sets.train.X, moved]), np.hstack([sets.train.Y, sets.train.Y])
    augmented = Splits(Examples(X, Y), sets.dev, sets.test)
    return trained(augmented, sizes=(64, 64, 10), patience=5, lambd=1.0)


def test_the_remedies_leave_neither_bias_nor_variance(final: Training, sets: Splits) -> None:
    diagnosis = diagnosed(final, sets.train, sets.dev)
    print(diagnosis)
    assert not diagnosis.advice


def test_early_stopping_keeps_the_best_of_the_dev_set(final: Training) -> None:
    costs = [epoch.dev_cost for epoch in final.history if epoch.dev_cost is not None]
    print(f"the best dev cost is {min(costs):.3f}, the last {costs[-1]:.3f}")
    assert costs[final.best_epoch - 1] == min(costs)


def test_the_test_set_is_looked_at_once(final: Training, sets: Splits) -> None:
    share = accuracy(final.params, *sets.test)
    print(f"{share:.1%} of {sets.test.X.shape[1]} images never seen are read right")
    assert share >= 0.95


DEEP = (64, *[24] * 19, 10)  # 20 layers
SHALLOW = (64, 24, 10)


def small_weights(sizes: tuple[int, ...], rng: np.random.Generator) -> Params:
    """Initialize as beginners do: with a hundredth, whatever the layer."""
    params = initialize(sizes, rng)
    return {n: 0.01 * rng.normal(size=v.shape) if n[0] == "W" else v for n, v in params.items()}


@pytest.mark.parametrize("start", [small_weights, initialize], ids=["a_hundredth", "he"])
@pytest.mark.parametrize("sizes", [SHALLOW, DEEP], ids=["shallow", "deep"])
def test_only_small_weights_in_a_deep_network_vanish(
    batch: Examples, sizes: tuple[int, ...], start: Any
) -> None:
    report = layer_statistics(start(sizes, np.random.default_rng(0)), *batch, factor=1e6)
    head, *rows = str(report).splitlines()
    print("\n".join([head, rows[0], *rows[len(rows) // 2 : -1 : 5], rows[-1]]))
    assert report.healthy == (sizes == SHALLOW or start is initialize)


def test_a_check_of_gradients_that_vanish_cannot_tell(batch: Examples) -> None:
    params = small_weights(DEEP, np.random.default_rng(0))
    report = check_gradients(cost, backprop, params, *batch, only=["b1", "b20"])
    resolutions = {parameter.name: parameter.resolution for parameter in report.parameters}
    print(resolutions)
    assert resolutions == {"b1": 1.0, "b20": 1e-5}


def test_gradients_of_a_deep_network_are_right_where_signals_live(
    gradcheck: GradCheck, batch: Examples
) -> None:
    start = partial(initialize, DEEP)
    report = gradcheck(cost, backprop, start, *batch, mode="sample", samples=10)
    checked = sum(parameter.checked for parameter in report.parameters)
    print(f"{report.verdict}: {checked} components of {len(report.parameters)} parameters")


def test_a_deep_network_learns_where_signals_live(sets: Splits) -> None:
    errors = {}
    for start in (small_weights, initialize):
        rng = np.random.default_rng(0)
        result = train(start(DEEP, rng), *sets.train, rng, optimizer=Adam(0.003), epochs=10)
        errors[start.__name__] = result.history[-1].train_error
        print(f"{start.__name__}: train error {errors[start.__name__]:.0%}")
    assert errors["initialize"] < 0.3 < 0.8 < errors["small_weights"]
