"""Which output of a layer is wrong: the ones whose upstream gradient brings the error in.

The slope along a direction through the inputs is a sum over outputs. What each of them should add
is known from one difference of the whole output; what a group of them adds, from the backward pass
of an upstream gradient that is zero elsewhere. Halving the groups that are off leads to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from pytest_gradcheck.context import current
from pytest_gradcheck.errors import wishes
from pytest_gradcheck.params.gradient import flatten_gradient
from pytest_gradcheck.params.scales import lengths
from pytest_gradcheck.params.streams import stream
from pytest_gradcheck.params.theta import FloatArray, Indices, Theta
from pytest_gradcheck.problem.layers.upstream import SEED, Forward, Pull, Upstream
from pytest_gradcheck.report.report import Finding, PointReport

STEP = 1e-5
"""Of the difference, in lengths of the inputs; the error that is looked for is a visible one."""

COARSE_STEP = 1e-2
"""The same for float32."""

OFF = 1e-3
"""A group of outputs is off where it adds this part too much of what its terms come to."""

CALLS = 64
"""Backward passes that may be spent."""


class Outputs:
    """The outputs of a layer, each of which may be wrong alone.

    Parameters
    ----------
    upstream : Upstream
    output : callable
        Returns the output at inputs.
    again : callable
        Returns the backward pass at inputs.
    """

    def __init__(self, upstream: Upstream, output: Forward, again: Callable[[Any], Pull]) -> None:
        self.upstream, self._output, self._again = upstream, output, again
        self._left = CALLS

    def finding(self, report: PointReport, inputs: Any) -> Finding | None:
        """Return which outputs are wrong, where the others are right, or None."""
        wrong = [c for c in report.components if c.verdict == "bug"]
        causes = (finding for finding in report.findings if finding.code != "partial")
        told = {name for finding in causes for name in finding.parameters}
        if not wrong or self.upstream.faults or wrong[0].parameter in told:
            return None
        try:
            names = self._wrong({name: inputs[name] for name in inputs})
        except wishes():
            raise
        except Exception:  # a question more than the check needs: it stands without an answer
            return None
        if not names:
            return None
        said = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return Finding(
            "output",
            "cause",
            wrong[0].parameter,
            f"{wrong[0].parameter}: what {said} adds is wrong, what the other outputs add is right",
            point=report.name,
        )

    def _wrong(self, inputs: Mapping[str, Any]) -> list[str]:
        """Return the names of the outputs whose part is wrong, unless all are."""
        out = self._output(inputs)
        layout = _theta(out)
        if layout.base.size < 2:
            return []
        theta = _theta(inputs)
        signs = stream("outputs", SEED).choice([-1.0, 1.0], theta.base.size)
        direction = signs * lengths(theta)
        terms = self.upstream.values * self._slopes(inputs, direction)
        self._left = CALLS
        every = np.arange(layout.base.size)
        groups = [every[p.slice] for p in layout.parameters] if layout.parameters[1:] else [every]
        found: list[str] = []
        for group, owner in zip(groups, layout.parameters, strict=True):
            mine = self._halved(group, inputs, out, direction, terms)
            if mine.size == group.size and len(groups) > 1:
                found.append(_named(owner.name))
            else:
                found += [_named(_component(layout, int(number))) for number in mine]
        whole = len(found) == (len(groups) if len(groups) > 1 else every.size)
        return [] if whole or self._left < 0 else found

    def _slopes(self, inputs: Any, direction: FloatArray) -> FloatArray:
        """Return the slope of every output along a direction."""
        step = COARSE_STEP if _theta(inputs).layout.is_coarse else STEP
        sides = []
        for distance in (step, -step):
            moved = _theta(inputs)
            moved.move(slice(0, direction.size), direction, distance)
            sides.append(_theta(self._output(moved.tree)).base)
        return np.asarray((sides[0] - sides[1]) / (2 * step))

    def _halved(
        self, group: Indices, inputs: Any, out: Any, direction: FloatArray, terms: FloatArray
    ) -> Indices:
        """Return the outputs of a group whose terms are off."""
        self._left -= 1
        if self._left < 0:
            return group
        values = np.zeros(terms.size)
        values[group] = self.upstream.values[group]
        layout = _theta(out)
        layout.write(values)
        parts = direction * flatten_gradient(self._again(inputs)(layout.tree), _theta(inputs))
        size = float(np.abs(terms[group]).sum())
        if abs(parts.sum() - terms[group].sum()) <= OFF * size:
            return group[:0]
        if group.size == 1:
            return group
        half = group.size // 2
        halves = group[:half], group[half:]
        return np.concatenate(
            [self._halved(part, inputs, out, direction, terms) for part in halves]
        )


def with_outputs(report: PointReport, outputs: Outputs | None, inputs: Any) -> PointReport:
    """Return a report with what was found about a backward pass beside its numbers.

    It fails for what is wrong with how the upstream gradient is treated; and it says which output
    is wrong, where one is.
    """
    if outputs is None:
        return report
    every = tuple(parameter.name for parameter in report.parameters)
    found = tuple(
        Finding(code, "cause", None, message, point=report.name, parameters=every)
        for code, message in outputs.upstream.faults
    )
    if found:
        worst = report.verdict if report.verdict == "nonfinite" else "bug"
        return replace(report, passed=False, verdict=worst, findings=(*found, *report.findings))
    finding = None if report.passed else outputs.finding(report, inputs)
    return report if finding is None else replace(report, findings=(*report.findings, finding))


def _theta(value: Any) -> Theta:
    return Theta(value, foreign=current().extensions.flatten)


def _component(layout: Theta, number: int) -> str:
    owner = layout.owner(number)
    return owner.component_name(owner.index(number))


def _named(name: str) -> str:
    """Return the name of an output as a user would type it: ``out[1]``, ``out.mean``."""
    if name == "theta" or name.startswith("theta["):
        return f"out{name[5:]}"
    return f"out{name}" if name.startswith("[") else f"out.{name}"
