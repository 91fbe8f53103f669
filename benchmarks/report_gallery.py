"""A page of failing reports as they look: models with one fault each in their backward pass.

Usage: ``python benchmarks/report_gallery.py [--width COLUMNS]``. Whoever reads a page asks of every
report: does its first line alone lead to the bug?
"""

from __future__ import annotations

import argparse
import warnings
from typing import NamedTuple

import numpy as np
from mutations import FOLDER, loaded

from pytest_gradcheck import Problem
from pytest_gradcheck.api import check_problem
from pytest_gradcheck.context import Style
from pytest_gradcheck.report.terminal import failure_text

MARGIN = 8
"""Columns that pytest puts before the lines of a failure."""


class Fault(NamedTuple):
    """A line of one of `backward_passes`, and what somebody wrote instead."""

    model: str
    said: str
    right: str
    wrong: str


FAULTS = (
    Fault("course_logistic", "a mean forgotten", "X.T @ error / m", "X.T @ error"),
    Fault(
        "course_regularized",
        "a penalty forgotten in one layer",
        'dZ2 @ A1.T + lambd / m * p["W2"]',
        "dZ2 @ A1.T",
    ),
    Fault("lstm", "the forget gate forgotten on the way back", "dc = dc * f", "dc = dc"),
    Fault(
        "conv_im2col",
        "= for += where windows overlap",
        "np.add.at(dx, (slice(None), c, i, j), patches)",
        "dx[:, c, i, j] = patches",
    ),
    Fault("batchnorm_steps", "the term of the mean forgotten", "dx = dx1 + dx2", "dx = dx1"),
    Fault("cs_affine_relu", "the mask of a ReLU forgotten", "dout * (x > 0)", "dout * 1.0"),
    Fault(
        "length_scales",
        "the chain rule of log-scale parameters forgotten",
        "return dscale * np.exp(log_scales)",
        "return dscale",
    ),
    Fault("lennard_jones", "forces for the gradient of the energy", "-forces", "forces"),
    Fault(
        "attention",
        "the sum of the softmax forgotten",
        "att * (datt - np.sum(datt * att, axis=1, keepdims=True))",
        "att * datt",
    ),
    Fault(
        "embedding",
        "an index that repeats counts once",
        "np.add.at(grad_E, words, grad_vectors)",
        "grad_E[words] += grad_vectors",
    ),
    Fault(
        "rnn_char",
        "an outer product the wrong way round",
        "np.dot(dhraw, hs[t - 1].T)",
        "np.dot(hs[t - 1], dhraw.T)",
    ),
    Fault(
        "flow",
        "the log-determinant forgotten",
        "ds = dmoved * right * np.exp(s) - 1.0 / n",
        "ds = dmoved * right * np.exp(s)",
    ),
)


def problem(number: int, fault: Fault) -> Problem:
    """Return a model with its fault."""
    text = (FOLDER / f"{fault.model}.py").read_text(encoding="utf-8")
    if text.count(fault.right) != 1:
        raise ValueError(f"{fault.model} has {fault.right!r} {text.count(fault.right)} times")
    made: Problem = loaded(fault.model, text.replace(fault.right, fault.wrong), number).problem()
    return made


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--width", type=int, default=80, help="columns of the terminal")
    style = Style(parser.parse_args().width - MARGIN)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    for number, fault in enumerate(FAULTS, 1):
        report = check_problem(problem(number, fault), raising=False)
        print(f"=== {number}. {fault.model}: {fault.said}\n    {fault.right}\n -> {fault.wrong}\n")
        print(f"{failure_text(report, style)}\n\n")


if __name__ == "__main__":
    main()
