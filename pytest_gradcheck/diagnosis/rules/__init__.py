"""The table of rules: the causes that one parameter shows, the simplest first."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_gradcheck.diagnosis.hypotheses import Rule
from pytest_gradcheck.diagnosis.rules.normalization import normalization
from pytest_gradcheck.diagnosis.rules.penalties import penalty, penalty_alone
from pytest_gradcheck.diagnosis.rules.places import (
    shifted,
    summed_over_units,
    swapped,
    symmetrized,
    transposed,
    wrong_axis,
)
from pytest_gradcheck.diagnosis.rules.regions import (
    clipped,
    mask,
    one_step,
    overlapping,
    repeated,
    run,
    some_entries,
    zeros,
)
from pytest_gradcheck.diagnosis.rules.values import (
    conjugated,
    factor,
    factor_of_data,
    offset,
    sign,
    transformed,
    unused,
    zero,
)

__all__ = ["CAUSES", "RULES", "WARNINGS", "WHERE_RULES"]

RULES: tuple[Rule, ...] = (
    zero,
    unused,
    sign,
    conjugated,
    factor,
    transposed,
    swapped,
    wrong_axis,
    shifted,
    symmetrized,
    offset,
    normalization,
    penalty,
    penalty_alone,
    transformed,
    factor_of_data,
    summed_over_units,
    mask,
    repeated,
    overlapping,
    one_step,
    clipped,
    run,
)
"""Rules of what the wrong gradient is. The first that is sure explains a parameter."""

WHERE_RULES: tuple[Rule, ...] = (some_entries, zeros)
"""Rules of where a gradient is wrong, tried on unexplained parameters."""

SPREAD_CAUSES: Mapping[str, str] = {
    "upstream": "the error comes from the layers above",
    "stale": "it is the gradient of another point",
}
"""Causes that several parameters show together, with a word on each; see `propagation`."""

CAUSES: Mapping[str, str] = {
    **{code: said for rule in (*RULES, *WHERE_RULES) for code, said in rule.summaries.items()},
    **SPREAD_CAUSES,
}
"""Codes of causes, the simplest first, with a word on each.

Beside them ``unnamed`` reports further errors.
"""

WARNINGS: Mapping[str, str] = {
    "branch": "the cost has a special branch here",
    "dominated": "a penalty hides the data",
    "kink": "the cost has two slopes here",
    "precision": "some components cannot be decided",
    "stationary": "all of the gradient is 0 here, which proves little",
    "vacuous": "nothing was tested",
}
"""Codes of warnings, with a word on each."""
