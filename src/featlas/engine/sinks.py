"""Finds attention sinks: positions whose enormous norm would own every variance and maximum of a residual stream."""

import torch
from torch import Tensor

from featlas.domain import Site

MIN_GAP = 2.0  # the smallest sink's norm over the largest ordinary one's: a gap, not the end of a tail


def find_sink_limit(norms: Tensor, site: Site, ratio: float | None) -> float | None:
    """The norm above which positions are not counted, or None where none are left out.

    Sinks are left out only at residual sites whose norms are bimodal: some of the sample's exceed `ratio` times the
    median, and the smallest of those is MIN_GAP times the largest of the rest. Elsewhere large norms are the tail of an
    ordinary distribution and belong to it.

    Args:
        norms: ‖x‖ of a sample of positions, shape [n].
        site: where they were read.
        ratio: limit over median; None switches the rule off.
    """
    if ratio is None or not site.is_residual or len(norms) == 0:
        return None
    limit = ratio * float(norms.median())
    above, rest = norms[norms > limit], norms[norms <= limit]
    if len(above) == 0 or len(rest) == 0 or float(above.min()) < MIN_GAP * float(rest.max()):
        return None
    return limit


def ordinary_rows(acts: Tensor, limit: float | None) -> Tensor:
    """Which rows are not sinks. acts: [n, d] → bool [n]."""
    if limit is None:
        return torch.ones(len(acts), dtype=torch.bool, device=acts.device)
    return acts.norm(dim=-1) <= limit
