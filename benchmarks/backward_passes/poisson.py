"""A Poisson regression with an offset and a ridge, in a class."""

import numpy as np

from pytest_gradcheck import Problem

BACKWARD = ("PoissonModel.score",)


class PoissonModel:
    def __init__(self, exog, endog, exposure, ridge):
        self.exog, self.endog, self.exposure = exog, endog, exposure
        self.ridge = ridge

    def predict(self, beta):
        return self.exposure * np.exp(self.exog @ beta)

    def nll(self, beta):
        rate = self.predict(beta)
        return np.sum(rate - self.endog * np.log(rate)) + 0.5 * self.ridge * beta @ beta

    def score(self, beta):
        rate = self.predict(beta)
        residual = rate - self.endog
        gradient = self.exog.T @ residual
        gradient = gradient + self.ridge * beta
        return gradient


def problem():
    rng = np.random.default_rng(40)
    model = PoissonModel(
        rng.standard_normal((8, 4)), rng.poisson(2.0, 8) * 1.0, rng.random(8) + 0.5, 0.4
    )
    return Problem(model.nll, model.score, rng.standard_normal(4) * 0.5)
