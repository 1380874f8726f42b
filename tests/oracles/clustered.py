"""Simulated features on clustered documents with a known true frequency and mean: what an interval has to cover."""

from dataclasses import dataclass

import numpy as np

from featlas.domain import N_GROUPS


@dataclass(frozen=True)
class Regime:
    """Documents have log-normal lengths; a share `p` of them can fire at a rate per token.

    `spread` is the concentration of the rate's beta distribution over documents (0: all alike; smaller: more unequal);
    `level_sd` the standard deviation of a document's log level of activation.
    """

    n_documents: int
    p: float
    rate: float
    spread: float
    level_sd: float

    @property
    def frequency(self) -> float:
        return self.p * self.rate

    @property
    def mean(self) -> float:
        return float(np.exp(self.level_sd**2 / 2))


@dataclass(frozen=True)
class Simulated:
    """One corpus with n independent features: tokens by jackknife group [16], and per feature sums by group [n, 16]."""

    n_tokens: np.ndarray
    n_fires: np.ndarray
    sum: np.ndarray
    n_documents_fired: np.ndarray


def simulate(regime: Regime, n: int, seed: int) -> Simulated:
    """Draw a corpus and n features on it."""
    rng = np.random.default_rng(seed)
    length = np.maximum(5, rng.lognormal(5.0, 1.0, regime.n_documents)).astype(int)
    group = rng.integers(0, N_GROUPS, regime.n_documents)
    shape = (n, regime.n_documents)
    rate = np.full(shape, regime.rate)
    if regime.spread > 0:
        rate = rng.beta(regime.rate * regime.spread, (1 - regime.rate) * regime.spread, shape)
    n_fires = np.where(rng.random(shape) < regime.p, rng.binomial(length, rate), 0)
    level = np.exp(rng.normal(0, regime.level_sd, shape))
    total = np.where(n_fires > 0, rng.gamma(np.maximum(2 * n_fires, 1e-9), 0.5) * level, 0.0)
    is_in = np.eye(N_GROUPS)[group]
    return Simulated(
        n_tokens=(length @ is_in).astype(np.int64),
        n_fires=(n_fires @ is_in).astype(np.int64),
        sum=total @ is_in,
        n_documents_fired=(n_fires > 0).sum(axis=1),
    )
