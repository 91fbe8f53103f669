"""Tell bias from variance by the errors of the train and dev sets, and say what helps.

*Bias* is what the network gets wrong even on the examples it has learned from; of it only the part
above the base error (of people, or the best that is possible) can be avoided. *Variance* is what
it gets wrong in addition on examples that it has not seen. They call for different remedies, and
bias comes first: a network that cannot learn its training set gains nothing from more data.

Source: Ng, *Machine Learning Yearning* (2018), chapters 20 to 27, and the "basic recipe" of the
deeplearning.ai courses.
"""

from __future__ import annotations

from dataclasses import dataclass

from ._checks import check_fractions

BIAS_ADVICE = (
    "make the network bigger: more units, more layers",
    "train longer, or with a better optimizer (momentum, Adam)",
    "weaken regularization: smaller lambd, keep_prob nearer to 1",
    "try another architecture",
)
VARIANCE_ADVICE = (
    "get more data, or augment what there is",
    "regularize: larger lambd, dropout, early stopping",
    "try another architecture",
)


@dataclass(frozen=True)
class Diagnosis:
    """What the errors say.

    `bias` is the avoidable bias, train error less base error; `variance` is dev error less train
    error. Either is high above the tolerance. `advice` is what to try, in this order; empty when
    both are low.
    """

    bias: float
    variance: float
    high_bias: bool
    high_variance: bool
    advice: tuple[str, ...]

    def __str__(self) -> str:
        """Return the diagnosis and the advice in words, a line for each."""
        bias, variance = (
            "high" if high else "low" for high in (self.high_bias, self.high_variance)
        )
        lines = [f"{bias} bias ({self.bias:.1%}), {variance} variance ({self.variance:.1%})"]
        return "\n- ".join([*lines, *self.advice])


def diagnose(
    train_error: float, dev_error: float, *, base_error: float = 0.0, tolerance: float = 0.02
) -> Diagnosis:
    """Diagnose a network by its errors.

    Parameters
    ----------
    train_error, dev_error : float
        Shares of the examples that the network gets wrong, from 0 to 1.
    base_error : float
        The error of people, or the least that is possible.
    tolerance : float
        The largest bias or variance that is still called low.

    Returns
    -------
    Diagnosis

    Raises
    ------
    ValueError
        When an error or the tolerance is not between 0 and 1.

    Examples
    --------
    >>> print(diagnose(train_error=0.01, dev_error=0.11))
    low bias (1.0%), high variance (10.0%)
    - get more data, or augment what there is
    - regularize: larger lambd, dropout, early stopping
    - try another architecture

    The same errors, of a task at which people do no better:

    >>> diagnose(train_error=0.15, dev_error=0.16, base_error=0.14).high_bias
    False
    """
    check_fractions(train_error=train_error, dev_error=dev_error, base_error=base_error)
    check_fractions(tolerance=tolerance)
    bias, variance = train_error - base_error, dev_error - train_error
    high_bias, high_variance = bias > tolerance, variance > tolerance
    advice: tuple[str, ...] = ()
    if high_bias:
        advice = BIAS_ADVICE
    elif high_variance:
        advice = VARIANCE_ADVICE
    return Diagnosis(bias, variance, high_bias, high_variance, advice)
