"""The wrong outputs of a layer: those whose upstream gradient brings the error in.

The slope along a direction in the inputs is a sum over outputs. One difference of the whole output
gives the term of each. The backward pass of an upstream gradient that is zero elsewhere gives the
sum of a group. Bisection of the groups that disagree finds the wrong outputs.

A wrong group may agree along one direction by chance: of 20 wrong outputs one did in 2 % of all
layers. Hence there are two, of unequal lengths, so that no errors of either sign cancel.
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
"""Step of the difference, in lengths of the inputs. It need not be exact: the error is known to be
visible."""

COARSE_STEP = 1e-2
"""The same for float32."""

OFF = 1e-3
"""A group of outputs disagrees if its sum differs by this part of its terms."""

CALLS = 64
"""Backward passes at most."""

DIRECTIONS = 2
"""Directions along which a group has to agree."""


class Outputs:
    """The outputs of a layer, any of which may be wrong.

    Parameters
    ----------
    upstream : Upstream
    output : callable
        Returns the output at inputs.
    again : callable
        Returns the backward pass at inputs.
    """

    def __init__(self, upstream: Upstream, output: Forward, again: Callable[[Any], Pull]) -> None:
        self.upstream, self.output, self.again = upstream, output, again

    def finding(self, report: PointReport, inputs: Any) -> Finding | None:
        """Return a finding that names the wrong outputs, or None if the others are not right."""
        wrong = [c.parameter for c in report.components if c.verdict == "bug"]
        causes = (finding for finding in report.findings if finding.code != "partial")
        explained = {name for finding in causes for name in finding.parameters}
        if not wrong or self.upstream.faults or wrong[0] in explained:
            return None
        try:
            parts = _Parts(self, {name: inputs[name] for name in inputs})
            passed_on = parts.passed_on()
            names = [] if passed_on else parts.wrong()
        except wishes():
            raise
        except Exception:  # the check does not depend on this answer
            return None
        if passed_on:
            off = (p.name for p in report.parameters if p.verdict in ("suspect", "bug"))
            return _without_mask(passed_on, parts.count, tuple(off), report.name)
        if not names:
            return None
        said = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        message = f"{wrong[0]}: what {said} adds is wrong, what the other outputs add is right"
        return Finding.cause("output", message, parameter=wrong[0], point=report.name)


def _without_mask(
    outputs: list[str], count: int, parameters: tuple[str, ...], point: str
) -> Finding:
    """Return the finding that constant outputs pass their upstream gradient back."""
    name = parameters[0] if len(parameters) == 1 else None
    return Finding.cause(
        "mask",
        f"a mask is missing: {len(outputs)} of {count} outputs stand still ({outputs[0]} for one), "
        "and the backward pass passes on what comes from them: a ReLU, a clip, a maximum or "
        "dropout passes nothing back there",
        parameter=name,
        point=point,
        parameters=parameters,
    )


class _Parts:
    """The terms of each output in the slopes along directions, true and by the backward pass.

    Parameters
    ----------
    outputs : Outputs
    inputs : mapping
    """

    def __init__(self, outputs: Outputs, inputs: Mapping[str, Any]) -> None:
        self._outputs, self._inputs = outputs, inputs
        self._out = outputs.output(inputs)
        self._layout = _theta(self._out)
        theta = _theta(inputs)
        draws, shape = stream("outputs", SEED), (DIRECTIONS, theta.base.size)
        signs = draws.choice([-1.0, 1.0], shape)
        self._directions = signs * draws.uniform(0.5, 1.0, shape) * lengths(theta)
        self._left = CALLS
        self.count = self._layout.base.size
        shape = (DIRECTIONS, self.count)
        self._slopes = self._differences() if self.count > 1 else np.zeros(shape)
        self._terms = outputs.upstream.values * self._slopes

    def _differences(self) -> FloatArray:
        """Return the slopes of every output along the directions, a row each."""
        step = COARSE_STEP if _theta(self._inputs).layout.is_coarse else STEP
        sides: tuple[list[FloatArray], list[FloatArray]] = ([], [])
        for direction in self._directions:
            for side, distance in zip(sides, (step, -step), strict=True):
                moved = _theta(self._inputs)
                moved.move(slice(0, direction.size), direction, distance)
                side.append(_theta(self._outputs.output(moved.tree)).base)
        return np.asarray((np.array(sides[0]) - np.array(sides[1])) / (2 * step))

    def passed_on(self) -> list[str]:
        """Return the constant outputs if those alone are wrong, else none."""
        still = (self._slopes == 0).all(axis=0)
        if self.count < 2 or not still.any() or still.all():
            return []
        if self._is_off(np.flatnonzero(~still)) or not self._is_off(np.flatnonzero(still)):
            return []
        return [_named(_component(self._layout, int(at))) for at in np.flatnonzero(still)]

    def wrong(self) -> list[str]:
        """Return the names of the outputs whose term is wrong, unless all are."""
        if self.count < 2:
            return []
        layout = self._layout
        every = np.arange(self.count)
        groups = [every[p.slice] for p in layout.parameters] if layout.parameters[1:] else [every]
        found: list[str] = []
        for group, owner in zip(groups, layout.parameters, strict=True):
            mine = self._halved(group)
            if mine.size == group.size and len(groups) > 1:
                found.append(_named(owner.name))
            else:
                found += [_named(_component(layout, int(number))) for number in mine]
        whole = len(found) == (len(groups) if len(groups) > 1 else every.size)
        return [] if whole or self._left < 0 else found

    def _halved(self, group: Indices) -> Indices:
        """Return the outputs of a group whose terms are wrong, by bisection."""
        self._left -= 1
        if self._left < 0:
            return group
        if not self._is_off(group):
            return group[:0]
        if group.size == 1:
            return group
        half = group.size // 2
        return np.concatenate([self._halved(part) for part in (group[:half], group[half:])])

    def _is_off(self, group: Indices) -> bool:
        """Return whether the backward pass gives another sum for a group than a difference."""
        values = np.zeros(self.count)
        values[group] = self._outputs.upstream.values[group]
        layout = _theta(self._out)
        layout.write(values)
        pull = self._outputs.again(self._inputs)
        sums = self._directions @ flatten_gradient(pull(layout.tree), _theta(self._inputs))
        terms = self._terms[:, group]
        off = np.abs(sums - terms.sum(axis=1)) > OFF * np.abs(terms).sum(axis=1)
        return bool(off.any())


def with_outputs(report: PointReport, outputs: Outputs | None, inputs: Any) -> PointReport:
    """Return a report with the findings about a backward pass.

    A wrong treatment of the upstream gradient fails it. A finding names the wrong outputs, if some
    are right.
    """
    if outputs is None:
        return report
    every = tuple(parameter.name for parameter in report.parameters)
    found = tuple(
        Finding.cause(code, message, point=report.name, parameters=every)
        for code, message in outputs.upstream.faults
    )
    if found:
        worst = report.verdict if report.verdict == "nonfinite" else "bug"
        return replace(report, passed=False, verdict=worst, findings=(*found, *report.findings))
    finding = None if report.passed else outputs.finding(report, inputs)
    if finding is None:
        return report
    if finding.code != "mask":
        return replace(report, findings=(*report.findings, finding))
    others = (one for one in report.findings if one.code != "partial")  # where it shows, and no why
    return replace(report, findings=(finding, *others))


def _theta(value: Any) -> Theta:
    return Theta(value, foreign=current().extensions.flatten)


def _component(layout: Theta, number: int) -> str:
    owner = layout.owner(number)
    return owner.component_name(owner.index(number))


def _named(name: str) -> str:
    """Return the expression by which a user reads an output: ``out[1]``, ``out.mean``."""
    if name == "theta" or name.startswith("theta["):
        return f"out{name[5:]}"
    return f"out{name}" if name.startswith("[") else f"out.{name}"
