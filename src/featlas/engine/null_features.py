"""Random directions taken through the same pass as the SAE's features: the control for every figure."""

import torch
from torch import Tensor

from featlas.engine.sae import SaeParams

MIN_SAMPLE_FIRES = 10  # a threshold is a quantile of the sample, and rarer ones would rest on fewer values


def make_null_features(sae: SaeParams, acts: Tensor, n: int, seed: int, fires_above: float = 0.0) -> SaeParams | None:
    """An SAE of n random encoder directions whose firing frequencies match the SAE's own on a sample.

    Each null feature copies the frequency of one of the SAE's features that fired in the sample (chosen by the seed;
    frequencies are kept between MIN_SAMPLE_FIRES / n_sample and one half) and fires where its projection of the SAE's
    input, less the sample's mean projection, exceeds the matching quantile. Directions are uniform on the sphere. On an
    SAE that is dead on the sample there is nothing to match and the control is None.

    Args:
        sae: the SAE whose frequencies are matched.
        acts: sample of counted activations, shape [n_sample, d_in].
        n: number of null features.
        seed: of directions and of the choice of frequencies.
        fires_above: the SAE's features fire where their magnitude exceeds this; null features above their thresholds.
    """
    n_sample = len(acts)
    counts = count_fires(sae, acts, fires_above)
    alive = counts[counts > 0]
    if n == 0 or n_sample < 2 * MIN_SAMPLE_FIRES or len(alive) == 0:
        return None
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(sae.d_in, n, generator=generator)
    directions = (directions / directions.norm(dim=0)).to(acts.device)
    chosen = alive[torch.randint(len(alive), (n,), generator=generator).to(alive.device)]
    n_firing = chosen.clamp(min=MIN_SAMPLE_FIRES, max=n_sample // 2)
    centered = sae.center(acts)
    b_enc = -(centered.mean(dim=0) @ directions)
    ordered = (centered @ directions + b_enc).sort(dim=0, descending=True).values
    threshold = ordered.gather(0, n_firing[None].long())[0].clamp(min=0)
    return SaeParams(
        W_enc=directions,
        b_enc=b_enc,
        W_dec=directions.T.contiguous(),
        b_dec=sae.b_dec if sae.d_out == sae.d_in else torch.zeros(sae.d_in, device=acts.device),
        activation="jumprelu",
        threshold=threshold,
        subtract_b_dec=sae.subtract_b_dec and sae.d_out == sae.d_in,
        normalisation=sae.normalisation,
    )


def count_fires(sae: SaeParams, acts: Tensor, fires_above: float = 0.0, rows: int = 512) -> Tensor:
    """How often each feature's magnitude exceeds `fires_above`. acts: [n, d_in] → counts [d_sae]."""
    counts = torch.zeros(sae.d_sae, dtype=torch.long, device=acts.device)
    for start in range(0, len(acts), rows):
        counts += (sae.encode(acts[start : start + rows]).abs() > fires_above).sum(0)
    return counts
