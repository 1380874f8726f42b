"""Turns the pass's sums into L0 and FVU, so that both have one definition."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class QualityTotals:
    """Reconstruction sums over the measured positions; first row counted positions, second attention sinks.

    `totals` [2, 3] are n, Σ‖x−x̂‖² and Σ‖x‖²; `sums` [2, d_out] is Σx. All float64.
    """

    totals: NDArray[np.float64]
    sums: NDArray[np.float64]

    @classmethod
    def empty(cls) -> "QualityTotals":
        """Nothing measured yet."""
        return cls(np.zeros((2, 3)), np.zeros((2, 1)))

    def plus(self, totals: NDArray[np.float64], sums: NDArray[np.float64]) -> "QualityTotals":
        """With one more block."""
        return QualityTotals(self.totals + totals, self.sums + sums)

    def fvu(self, *, with_sinks: bool) -> float | None:
        """Fraction of variance unexplained: Σ‖x−x̂‖² / Σ‖x−x̄‖²; None where nothing varied."""
        n, error, square = self.totals.sum(0) if with_sinks else self.totals[0]
        total = self.sums.sum(0) if with_sinks else self.sums[0]
        variance = square - float(total @ total) / n if n else 0.0
        return float(error / variance) if variance > 0 else None


def quality_figures(
    quality: QualityTotals, n_events: NDArray[np.int64], n_excluded: NDArray[np.int64], n_tokens: int
) -> dict[str, float | int | None]:
    """The header's figures.

    Args:
        quality: sums over the measured positions.
        n_events: firings of each of the SAE's own features at counted positions, shape [d_sae].
        n_excluded: firings at positions that are not counted, shape [d_sae]; who has only those is not dead.
        n_tokens: counted positions.
    """
    is_silent = n_events == 0
    return {
        "l0": float(n_events.sum() / n_tokens) if n_tokens else None,
        "fvu": quality.fvu(with_sinks=False),
        "fvu_with_sinks": quality.fvu(with_sinks=True),
        "n_measured": int(quality.totals[0, 0]),
        "n_dead": int((is_silent & (n_excluded == 0)).sum()),
        "n_sink_only": int((is_silent & (n_excluded > 0)).sum()),
        "n_dense": int((n_events > 0.1 * n_tokens).sum()),
        "n_alive": int((n_events > 0).sum()),
    }
