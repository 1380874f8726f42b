"""Asks, before hours are spent, whether the SAE is read at the right place in the right way.

The known mistakes (a neighbouring layer or site, b_dec subtracted or not, a wrong scale, a transposed matrix) are made
on purpose on the same tokens; one that explains the tokens clearly better than the load at hand means that the load is
wrong. Explained variance is 1 − Σ‖x−x̂‖² / Σ‖x−x̄‖² over counted positions without sinks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from featlas.domain import HookPoint, Site
from featlas.engine.sae import SaeParams
from featlas.engine.sinks import find_sink_limit, ordinary_rows

MIN_TOKENS = 500
MIN_GAIN = 0.01
MIN_STANDARD_ERRORS = 3.0
N_BOOTSTRAP = 200
SCALES = (0.1, 0.2, 0.35, 0.5, 0.7, 1.4, 2.0, 2.8, 5.0, 10.0)
HARMLESS_SCALES = (0.7, 1.4)  # every L1-trained SAE shrinks, so a best scale in here says nothing


@dataclass(frozen=True)
class Sample:
    """Activations of a sample of contexts at several hook points: rows are counted positions.

    `acts[h]` has shape [n_rows, width]; `context` [n_rows] numbers the contexts from 0.
    """

    acts: dict[HookPoint, Tensor]
    context: Tensor


@dataclass(frozen=True)
class Alternative:
    """One way of reading the SAE other than the one at hand, and how well it explains the same tokens."""

    mistake: str
    repair: str
    explained_variance: float
    gain: float
    standard_error: float

    @property
    def is_better(self) -> bool:
        """Clearly better: by at least MIN_GAIN and MIN_STANDARD_ERRORS."""
        return self.gain >= MIN_GAIN and self.gain >= MIN_STANDARD_ERRORS * self.standard_error


@dataclass(frozen=True)
class SelfCheck:
    """What the self-check found. Fractions are of 1; `l0` is features per token; a None was not measurable."""

    verdict: str
    is_refused: bool
    hook_point: str
    n_tokens: int
    n_sinks: int
    sink_norm_limit: float | None
    l0: float | None
    explained_variance: float | None
    cosine: float | None
    dead_share: float | None
    decoder_norms: tuple[float, float, float]  # min, median, max
    min_threshold: float | None
    claims: dict[str, float] = field(default_factory=dict)
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values for the run's record and the CLI."""
        return {
            **{name: value for name, value in vars(self).items() if name != "alternatives"},
            "decoder_norms": dict(zip(("min", "median", "max"), self.decoder_norms, strict=True)),
            "notes": list(self.notes),
            "alternatives": [{**vars(a), "is_better": a.is_better} for a in self.alternatives],
        }


def neighbour_hooks(hook_point: HookPoint, n_layers: int) -> list[HookPoint]:
    """Places that are mistaken for this one: the layers beside it and the other sites of its block."""
    layers = [layer for layer in (hook_point.layer - 1, hook_point.layer + 1) if 0 <= layer < n_layers]
    if hook_point.site is Site.EMBED:
        return [HookPoint(0, Site.RESID_POST)]
    beside = [HookPoint(layer, hook_point.site) for layer in layers]
    sites = [s for s in (Site.RESID_MID, Site.RESID_POST, Site.ATTN_OUT, Site.MLP_OUT) if s is not hook_point.site]
    return beside + [HookPoint(hook_point.layer, site) for site in sites]


def check_sae(
    sae: SaeParams, hook_point: HookPoint, sample: Sample, sink_norm_ratio: float | None, claims: dict[str, float]
) -> SelfCheck:
    """Measure the SAE at its hook point and hold the known mistakes against it."""
    acts = sample.acts[hook_point]
    limit = find_sink_limit(acts.norm(dim=-1), hook_point.site, sink_norm_ratio)
    kept = ordinary_rows(acts, limit)
    norms = sae.W_dec.norm(dim=1)
    dec_norms = (float(norms.min()), float(norms.median()), float(norms.max()))
    n_tokens = int(kept.sum())
    shared: dict[str, Any] = {
        "hook_point": str(hook_point),
        "n_tokens": n_tokens,
        "n_sinks": len(kept) - n_tokens,
        "sink_norm_limit": limit,
        "decoder_norms": dec_norms,
        "min_threshold": None if sae.threshold is None else float(sae.threshold.min()),
        "claims": claims,
        "notes": ("whether a BOS token belongs in front cannot be told from activations: taken from the SAE's config",),
    }
    if n_tokens < MIN_TOKENS:
        verdict = f"too little text to judge: {n_tokens} tokens, expected at least {MIN_TOKENS}"
        empty = dict.fromkeys(("l0", "explained_variance", "cosine", "dead_share"))
        return SelfCheck(verdict=verdict, is_refused=False, **shared, **empty)
    x, context = acts[kept], sample.context[kept]
    feature_acts = sae.encode(x)
    here = _Fit.of(x, sae.denormalise(sae.decode(feature_acts), x), context)
    alternatives = tuple(_compare(here, sample, kept, sae, hook_point))
    better = sorted((a for a in alternatives if a.is_better), key=lambda a: -a.gain)
    return SelfCheck(
        verdict=_verdict(here.explained_variance(), better, claims),
        is_refused=bool(better),
        l0=float((feature_acts != 0).sum(1).float().mean()),
        explained_variance=here.explained_variance(),
        cosine=float(torch.cosine_similarity(x, sae.reconstruct(x), dim=-1).mean()),
        dead_share=float((~(feature_acts != 0).any(0)).float().mean()),
        alternatives=alternatives,
        **shared,
    )


def _verdict(explained_variance: float, better: list[Alternative], claims: dict[str, float]) -> str:
    if better:
        first = better[0]
        return (
            f"refused: {first.mistake} explains the text better than the load at hand "
            f"(explained variance {first.explained_variance:.3f} against {explained_variance:.3f}); {first.repair}"
        )
    claimed = 1 - claims["fvu"] if "fvu" in claims else None
    if claimed is not None and explained_variance < claimed - 0.2:
        return (
            f"fits, with a warning: explained variance {explained_variance:.3f} is far below "
            f"the {claimed:.3f} that the SAE's own files claim"
        )
    return f"fits: explained variance {explained_variance:.3f}, and no known mistake explains the text better"


@dataclass(frozen=True)
class _Fit:
    """Per-context sums from which explained variance, and its sampling error, follow. All float64."""

    n: Tensor  # [n_contexts]
    error: Tensor  # [n_contexts]
    square: Tensor  # [n_contexts]
    sum: Tensor  # [n_contexts, d]

    @classmethod
    def of(cls, x: Tensor, reconstruction: Tensor, context: Tensor) -> "_Fit":
        n_contexts = int(context.max()) + 1
        exact = x.to(torch.float64)
        error = (exact - reconstruction.to(torch.float64)).square().sum(1)

        def total(values: Tensor) -> Tensor:
            return torch.zeros(n_contexts, *values.shape[1:], dtype=torch.float64).index_add_(
                0, context.cpu(), values.cpu()
            )

        return cls(total(torch.ones_like(error)), total(error), total(exact.square().sum(1)), total(exact))

    def explained_variance(self, weights: Tensor | None = None) -> float:
        """1 − error / variance, each context counted `weights` times."""
        w = torch.ones_like(self.n) if weights is None else weights
        n = float(w @ self.n)
        variance = float(w @ self.square) - float((w @ self.sum).square().sum()) / n
        return 1 - float(w @ self.error) / variance if variance > 0 else float("nan")


def _compare(here: _Fit, sample: Sample, kept: Tensor, sae: SaeParams, hook_point: HookPoint) -> Iterator[Alternative]:
    acts = sample.acts[hook_point][kept]
    context = sample.context[kept]

    def judged(
        mistake: str, repair: str, x: Tensor, reconstruct: Callable[[Tensor], Tensor], rows: Tensor
    ) -> Alternative:
        other = _Fit.of(x, reconstruct(x), rows)
        gain = other.explained_variance() - here.explained_variance()
        error = _standard_error(here, other)
        return Alternative(mistake, repair, other.explained_variance(), gain, error)

    for point, other in sample.acts.items():
        if point != hook_point and other.shape[-1] == sae.d_in and sae.d_in == sae.d_out:
            rows = kept & ordinary_rows(other, find_sink_limit(other.norm(dim=-1), Site.RESID_POST, 10.0))
            repair = f"run with --hook-point {point}"
            yield judged(f"reading {point}", repair, other[rows], sae.reconstruct, sample.context[rows])
    if bool(sae.b_dec.any()) and sae.d_in == sae.d_out:
        flipped = replace(sae, subtract_b_dec=not sae.subtract_b_dec)
        wrong = "not subtracting" if sae.subtract_b_dec else "subtracting"
        repair = f"set apply_b_dec_to_input to {str(not sae.subtract_b_dec).lower()} in cfg.json"
        yield judged(f"{wrong} b_dec before the encoder", repair, acts, flipped.reconstruct, context)
    if sae.d_in == sae.d_sae:
        turned = replace(sae, W_enc=sae.W_enc.T.contiguous())
        yield judged("a transposed W_enc", "transpose W_enc in the weights file", acts, turned.reconstruct, context)
    yield _best_scale(judged, acts, sae, context)


def _best_scale(judged: Callable[..., Alternative], acts: Tensor, sae: SaeParams, context: Tensor) -> Alternative:
    """The input scale that fits best; inside HARMLESS_SCALES it is reported as no gain."""
    tried = {
        scale: judged(
            f"scaling the input by {scale:g}",
            "the files' input scale was not applied: give it in activation_scaler.json",
            acts,
            lambda x, scale=scale: sae.reconstruct(x * scale) / scale,
            context,
        )
        for scale in SCALES
    }
    best = max(tried, key=lambda scale: tried[scale].gain)
    low, high = HARMLESS_SCALES
    return replace(tried[best], gain=min(tried[best].gain, 0.0)) if low <= best <= high else tried[best]


def _standard_error(here: _Fit, other: _Fit) -> float:
    """Standard error of the difference of two explained variances: bootstrap over contexts, paired."""
    generator = torch.Generator().manual_seed(0)
    n_contexts = min(len(here.n), len(other.n))
    differences = []
    for _ in range(N_BOOTSTRAP):
        drawn = torch.randint(n_contexts, (n_contexts,), generator=generator)
        weights = torch.bincount(drawn, minlength=len(here.n)).to(torch.float64)
        differences.append(other.explained_variance(weights[: len(other.n)]) - here.explained_variance(weights))
    return float(torch.tensor(differences).std())
