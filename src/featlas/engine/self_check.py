"""Asks, before hours are spent, whether the SAE is read at the right place in the right way.

The known mistakes (a neighbouring layer or site, b_dec subtracted or not, a wrong scale, a transposed matrix) are made
on purpose on the same tokens; one that explains the tokens clearly better than the load at hand means that the load is
wrong. Explained variance is 1 − Σ‖x−x̂‖² / Σ‖x−x̄‖² over counted positions without sinks.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from featlas.domain import HookPoint, Site
from featlas.engine.sae import SaeParams
from featlas.engine.sinks import find_sink_limit, ordinary_rows
from featlas.errors import InputError

MIN_TOKENS = 500
MIN_CONTEXTS = 2  # of one context there is no spread, and every gain would look certain
SINK_NORM_RATIO = 10.0  # of what the verdict rests on, whatever the run counts
SCREEN_STEP = 8  # an alternative is tried on every so-manieth row before it is tried on all
ROWS_AT_ONCE = 512  # dense activations of a whole sample would fill gigabytes
MIN_GAIN = 0.01
MIN_STANDARD_ERRORS = 3.0
N_BOOTSTRAP = 200
SCALES = (0.1, 0.35, 0.7, 1.4, 2.8, 10.0)
HARMLESS_SCALES = (0.7, 1.4)  # every L1-trained SAE shrinks, so a best scale in here says nothing


@dataclass(frozen=True)
class Sample:
    """Activations of a sample of contexts at several hook points: rows are counted positions.

    `acts[h]` has shape [n_rows, width]; `context` [n_rows] numbers the contexts from 0.
    """

    acts: dict[HookPoint, Tensor]
    context: Tensor

    @property
    def n_contexts(self) -> int:
        """Number of contexts."""
        return int(self.context.max()) + 1 if len(self.context) else 0


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

    def to_json(self) -> dict[str, Any]:
        """Plain values; a standard error that is not known is null."""
        known = self.standard_error if math.isfinite(self.standard_error) else None
        return {**vars(self), "standard_error": known, "is_better": self.is_better}


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
            "alternatives": [a.to_json() for a in self.alternatives],
        }


def neighbour_hooks(hook_point: HookPoint, n_layers: int) -> list[HookPoint]:
    """Places that are mistaken for this one: the layers beside it and the other sites of its block."""
    if hook_point.site is Site.EMBED:
        return [HookPoint(0, Site.RESID_POST)]
    layers = [layer for layer in (hook_point.layer - 1, hook_point.layer + 1) if 0 <= layer < n_layers]
    beside = [HookPoint(layer, hook_point.site) for layer in layers]
    if hook_point == HookPoint(0, Site.RESID_POST):
        beside.append(HookPoint(0, Site.RESID_PRE))
    sites = [s for s in (Site.RESID_MID, Site.RESID_POST, Site.ATTN_OUT, Site.MLP_OUT) if s is not hook_point.site]
    return beside + [HookPoint(hook_point.layer, site) for site in sites]


def check_sae(
    sae: SaeParams, hook_point: HookPoint, sample: Sample, sink_norm_ratio: float | None, claims: dict[str, float]
) -> SelfCheck:
    """Measure the SAE at its hook point and hold the known mistakes against it; InputError where nothing varies there.

    Sinks are never judged by: they hold most of a residual stream's variance, and with them every load looks right.
    `sink_norm_limit` is what `sink_norm_ratio` gives, the limit of the run.
    """
    acts = sample.acts[hook_point]
    kept = _judged_rows(acts)
    norms = sae.W_dec.norm(dim=1)
    n_tokens = int(kept.sum())
    shared: dict[str, Any] = {
        "hook_point": str(hook_point),
        "n_tokens": n_tokens,
        "n_sinks": len(kept) - n_tokens,
        "sink_norm_limit": find_sink_limit(acts.norm(dim=-1), hook_point.site, sink_norm_ratio),
        "decoder_norms": (float(norms.min()), float(norms.median()), float(norms.max())),
        "min_threshold": None if sae.threshold is None else float(sae.threshold.min()),
        "claims": claims,
        "notes": ("whether a BOS token belongs in front cannot be told from activations: taken from the SAE's config",),
    }
    n_contexts = len(sample.context[kept.cpu()].unique())
    if n_tokens < MIN_TOKENS or n_contexts < MIN_CONTEXTS:
        verdict = (
            f"too little text to judge: {n_tokens} tokens in {n_contexts} contexts, "
            f"expected at least {MIN_TOKENS} in {MIN_CONTEXTS}"
        )
        empty = dict.fromkeys(("l0", "explained_variance", "cosine", "dead_share"))
        return SelfCheck(verdict=verdict, is_refused=False, **shared, **empty)
    x = acts[kept]
    reconstruction, n_fires = _read(sae, x)
    judge = _Judge(sample, hook_point, kept.nonzero().flatten(), reconstruction)
    explained_variance = judge.fit_here(1).explained_variance()
    if not math.isfinite(explained_variance):
        raise InputError(f"{hook_point} is the same at all of {n_tokens} positions; the model or the text is broken")
    alternatives = tuple(a for a in _known_mistakes(judge, sae, hook_point) if math.isfinite(a.gain))
    better = sorted((a for a in alternatives if a.is_better), key=lambda a: -a.gain)
    return SelfCheck(
        verdict=_verdict(explained_variance, better, claims),
        is_refused=bool(better),
        l0=float(n_fires.sum()) / n_tokens,
        explained_variance=explained_variance,
        cosine=float(torch.cosine_similarity(x, reconstruction, dim=-1).mean()),
        dead_share=float((n_fires == 0).float().mean()),
        alternatives=alternatives,
        **shared,
    )


def _judged_rows(acts: Tensor) -> Tensor:
    """Rows that are no sinks by the rule for residual sites, wherever they were read."""
    return ordinary_rows(acts, find_sink_limit(acts.norm(dim=-1), Site.RESID_POST, SINK_NORM_RATIO))


def _read(sae: SaeParams, x: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstructions [n, d_out] and how often each feature fires [d_sae]."""
    reconstructions, n_fires = [], torch.zeros(sae.d_sae, dtype=torch.long, device=x.device)
    for rows in x.split(ROWS_AT_ONCE):
        feature_acts = sae.encode(rows)
        n_fires += (feature_acts != 0).sum(0)
        reconstructions.append(sae.denormalise(sae.decode(feature_acts), rows))
    return torch.cat(reconstructions), n_fires


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
    def of(cls, x: Tensor, reconstruction: Tensor, context: Tensor, n_contexts: int) -> "_Fit":
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
        variance = float(w @ self.square) - float((w @ self.sum).square().sum()) / n if n else 0.0
        return 1 - float(w @ self.error) / variance if variance > 0 else float("nan")


@dataclass(frozen=True)
class _Judge:
    """Holds one way of reading the SAE after another against the load at hand, on the same tokens."""

    sample: Sample
    hook_point: HookPoint
    rows: Tensor  # indices of the rows to judge by
    reconstruction: Tensor  # of these rows, by the load at hand

    def fit_here(self, step: int) -> _Fit:
        """How the load at hand explains every step-th row."""
        return self._fit(self.sample.acts[self.hook_point], self.rows[::step], self.reconstruction[::step])

    def _fit(self, acts: Tensor, rows: Tensor, reconstruction: Tensor) -> _Fit:
        return _Fit.of(acts[rows], reconstruction, self.sample.context[rows.cpu()], self.sample.n_contexts)

    def compare(
        self, mistake: str, repair: str, reconstruct: Callable[[Tensor], Tensor], acts: Tensor | None = None
    ) -> Alternative:
        """How well `reconstruct` explains acts [n_rows, d] (those at hand, by default).

        Every SCREEN_STEP-th row is tried first, which is enough for what is far from being better.
        """
        acts = self.sample.acts[self.hook_point] if acts is None else acts
        is_ordinary = _judged_rows(acts)
        for step in (SCREEN_STEP, 1):
            rows = self.rows[::step]
            rows = rows[is_ordinary[rows]]
            here = self.fit_here(step)
            other = self._fit(acts, rows, torch.cat([reconstruct(x) for x in acts[rows].split(ROWS_AT_ONCE)]))
            explained = other.explained_variance()
            gain, error = explained - here.explained_variance(), standard_error(here, other)
            if not gain + MIN_STANDARD_ERRORS * error >= MIN_GAIN:
                break
        return Alternative(mistake, repair, explained, gain, error)


def _known_mistakes(judge: _Judge, sae: SaeParams, hook_point: HookPoint) -> Iterator[Alternative]:
    for point, other in judge.sample.acts.items():
        if point != hook_point and other.shape[-1] == sae.d_in == sae.d_out:
            yield judge.compare(f"reading {point}", f"run with --hook-point {point}", sae.reconstruct, other)
    if bool(sae.b_dec.any()) and sae.d_in == sae.d_out:
        flipped = replace(sae, subtract_b_dec=not sae.subtract_b_dec)
        wrong = "not subtracting" if sae.subtract_b_dec else "subtracting"
        repair = f"set apply_b_dec_to_input to {str(not sae.subtract_b_dec).lower()} in cfg.json"
        yield judge.compare(f"{wrong} b_dec before the encoder", repair, flipped.reconstruct)
    if sae.d_in == sae.d_sae:
        turned = replace(sae, W_enc=sae.W_enc.T.contiguous())
        yield judge.compare("a transposed W_enc", "transpose W_enc in the weights file", turned.reconstruct)
    yield _best_scale(
        judge,
        "scaling the input by",
        "the files' input scale was not applied: give it in activation_scaler.json",
        lambda scale: lambda x: sae.reconstruct(x * scale) / scale,
    )
    yield _best_scale(
        judge,
        "scaling the encoder by",
        "encoder and decoder of the files do not fit each other: get the weights again",
        lambda scale: replace(sae, W_enc=sae.W_enc * scale).reconstruct,
    )


def _best_scale(
    judge: _Judge, mistake: str, repair: str, reconstruct_at: Callable[[float], Callable[[Tensor], Tensor]]
) -> Alternative:
    """The scale that fits best; inside HARMLESS_SCALES it is reported as no gain."""
    tried = {scale: judge.compare(f"{mistake} {scale:g}", repair, reconstruct_at(scale)) for scale in SCALES}
    best = max(tried, key=lambda scale: tried[scale].gain)
    low, high = HARMLESS_SCALES
    return replace(tried[best], gain=min(tried[best].gain, 0.0)) if low <= best <= high else tried[best]


def standard_error(here: "_Fit", other: "_Fit") -> float:
    """Standard error of the difference of two explained variances: bootstrap over contexts, paired.

    Draws without variance (of one-token contexts alone) say nothing and are left out; infinite where fewer than two
    say anything.
    """
    generator = torch.Generator().manual_seed(0)
    n_contexts = len(here.n)
    differences = []
    for _ in range(N_BOOTSTRAP):
        drawn = torch.randint(n_contexts, (n_contexts,), generator=generator)
        weights = torch.bincount(drawn, minlength=n_contexts).to(torch.float64)
        difference = other.explained_variance(weights) - here.explained_variance(weights)
        if math.isfinite(difference):
            differences.append(difference)
    return float(torch.tensor(differences).std()) if len(differences) > 1 else math.inf
