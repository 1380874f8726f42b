"""Trains TopK and BatchTopK SAEs on a stream of activations, with gradients written out so that a CPU can do it.

Only about k of d_sae features fire per token, so everything but the encoder's matmul is done on the sparse pattern
(CSR products of PyTorch). Methods: TopK and the auxiliary loss for dead features, Gao et al. 2024 (arXiv 2406.04093);
BatchTopK and its inference threshold, Bussmann et al. 2024 (arXiv 2412.06410).
"""

import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from featlas.engine.sae import SaeParams
from featlas.errors import InputError

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")

WARM_UP_STEPS = 300
DECAY_SHARE = 0.25  # of all steps, at the end, linearly to zero
THRESHOLD_MEMORY = 0.99  # weight of the past in the running inference threshold, per step
DENSITY_MEMORY = 0.99  # weight of the past in the running share of tokens on which a feature fires, per step
MOST_EXCESS = 2.0  # the penalty of a feature grows with its density no further than this


@dataclass(frozen=True)
class TrainOptions:
    """What the optimiser needs to know; sizes in tokens, see `specs.TrainSpec` for the meaning of each field."""

    architecture: str
    d_sae: int
    k: int
    tokens: int
    sae_batch: int
    learning_rate: float
    aux_coefficient: float
    dead_after_tokens: int
    seed: int
    density_penalty: float = 0.0
    max_density: float = 0.005


@dataclass(frozen=True)
class StepReport:
    """Figures of one optimiser step: fraction of variance unexplained on the batch, mean L0, features held dead."""

    fvu: float
    l0: float
    n_dead: int


class ShuffleBuffer:
    """Mixes a stream of activations: holds `capacity` rows and gives back random ones, so a batch mixes documents.

    Every row of the stream is given once, but for the last ones of a finite stream that fill no batch.
    """

    def __init__(self, stream: Iterator[Tensor], capacity: int, seed: int) -> None:
        self._stream = stream
        self._capacity = capacity
        self._generator = torch.Generator().manual_seed(seed)
        self._rows: Tensor | None = None
        self._n = 0
        self._waiting: Tensor | None = None  # rows that were read and did not fit

    def fill(self) -> Tensor:
        """Read until the buffer is full or the stream ends; the rows now held. Shape [n, d_in]."""
        while self._n < self._capacity:
            rows = self._waiting if self._waiting is not None else next(self._stream, None)
            if rows is None:
                break
            if self._rows is None:
                self._rows = torch.empty(self._capacity, rows.shape[1])
            taken = min(len(rows), self._capacity - self._n)
            self._rows[self._n : self._n + taken] = rows[:taken]
            self._n += taken
            self._waiting = rows[taken:] if taken < len(rows) else None
        if self._rows is None:
            raise InputError("no activation came from the texts: they are empty or every position was left out")
        return self._rows[: self._n]

    def batches(self, size: int) -> Iterator[Tensor]:
        """Random batches of `size` rows until the stream is spent; half the buffer is drawn between refills."""
        while len(held := self.fill()) >= size:
            is_last = self._n < self._capacity
            order = torch.randperm(len(held), generator=self._generator)
            n_drawn = max(size, len(held) if is_last else len(held) // 2) // size * size
            for start in range(0, n_drawn, size):
                yield held[order[start : start + size]]
            kept = held[order[n_drawn:]].clone()
            held[: len(kept)] = kept
            self._n = len(kept)


class Trainer:
    """One SAE in training, in a space where the input is centred and has a mean norm of sqrt(d_in)."""

    def __init__(self, sample: Tensor, options: TrainOptions) -> None:
        if options.k > options.d_sae:
            raise InputError(f"k is {options.k}, more than the {options.d_sae} features (d_sae); lower k")
        generator = torch.Generator().manual_seed(options.seed)
        self.options = options
        self.mean = sample.mean(0)
        self.d_in = sample.shape[1]
        spread = float((sample - self.mean).norm(dim=1).mean())
        if not 0 < spread < math.inf:
            raise InputError(
                f"the activations' mean distance from their mean is {spread}; nothing can be learnt of that"
            )
        self.scale = math.sqrt(self.d_in) / spread
        self.total_variance = float(((sample - self.mean) * self.scale).square().sum(1).mean())
        directions = torch.randn(options.d_sae, self.d_in, generator=generator)
        self.W_dec = directions / directions.norm(dim=1, keepdim=True)  # [d_sae, d_in]
        self.W_enc = self.W_dec.clone()  # rows are encoder directions here, so that its gradient is a CSR product
        self.b_enc = torch.zeros(options.d_sae)
        self.b_dec = torch.zeros(self.d_in)
        parameters = [self.W_enc, self.b_enc, self.W_dec, self.b_dec]
        self.optimiser = torch.optim.Adam(parameters, lr=options.learning_rate, betas=(0.9, 0.999), fused=True)
        self.threshold = 0.0
        self.silent_tokens = torch.zeros(options.d_sae, dtype=torch.long)
        self.density = torch.zeros(options.d_sae)
        self.n_steps = 0
        self._candidates_above = 0.0

    def start_from(self, sae: SaeParams) -> None:
        """Begin with the parameters of an SAE instead of random ones; raises InputError for one of another shape."""
        shape = (self.options.d_sae, self.d_in)
        if tuple(sae.W_dec.shape) != shape or tuple(sae.W_enc.T.shape) != shape or not sae.subtract_b_dec:
            raise InputError(
                f"training cannot begin with an SAE of {sae.d_sae} features and inputs of {sae.d_in}: expected"
                f" {shape[0]} and {shape[1]}, and b_dec subtracted from the input, as `featlas train` writes it"
            )
        norms = sae.W_dec.norm(dim=1).clamp(min=1e-12)
        self.W_dec.copy_(sae.W_dec / norms[:, None])
        self.W_enc.copy_(sae.W_enc.T * norms[:, None])
        self.b_enc.copy_(sae.b_enc * norms * self.scale)
        self.b_dec.copy_((sae.b_dec - self.mean) * self.scale)

    def step(self, x: Tensor) -> StepReport:
        """One optimiser step on a batch in the model's own units. x: [batch, d_in]."""
        x = (x - self.mean) * self.scale
        centered = x - self.b_dec
        # bfloat16 only chooses which features fire; what they are worth is computed in float32 where they do.
        rough = (centered.bfloat16() @ self.W_enc.bfloat16().T).float().add_(self.b_enc)
        acts = self._exact(self._select(rough), centered)
        error = acts @ self.W_dec + self.b_dec - x
        self._set_gradients(acts, centered, error)
        n_dead = self._revive_dead(centered, error)
        self._follow_silence(acts)
        self._update()
        return StepReport(
            float(error.square().sum(1).mean()) / self.total_variance, acts.values().numel() / len(x), n_dead
        )

    def _select(self, pre: Tensor) -> Tensor:
        """The chosen activations as CSR, [batch, d_sae]: the k of each token, or the k·batch of the batch."""
        if self.options.architecture == "topk":
            values, features = pre.topk(self.options.k, dim=1)
            rows = torch.arange(len(pre)).repeat_interleave(self.options.k)
            kept = values.flatten() > 0
            return _csr(rows[kept], features.flatten()[kept], values.flatten()[kept], pre.shape)
        wanted = self.options.k * len(pre)
        found = (pre > self._candidates_above).nonzero()
        if len(found) < wanted:  # the running cut was too high for this batch
            found = (pre > 0).nonzero()
        values = pre[found[:, 0], found[:, 1]]
        if len(values) > wanted:
            cut = values.kthvalue(len(values) - wanted).values
            kept = values > cut
            found, values = found[kept], values[kept]
        lowest = float(values.min()) if len(values) else 0.0
        self._candidates_above = 0.8 * lowest
        memory = THRESHOLD_MEMORY if self.n_steps else 0.0
        self.threshold = memory * self.threshold + (1 - memory) * lowest
        return _csr(found[:, 0], found[:, 1], values, pre.shape)

    def _exact(self, chosen: Tensor, centered: Tensor) -> Tensor:
        values = _sampled_product(chosen, centered, self.W_enc).values() + self.b_enc[chosen.col_indices()]
        return _csr(_rows_of(chosen), chosen.col_indices(), values.relu_(), chosen.shape)

    def _set_gradients(self, acts: Tensor, centered: Tensor, error: Tensor) -> None:
        """Gradients of the mean squared error over total variance, and of the penalty on density."""
        slope = error * (2 / (len(error) * self.total_variance))
        d_acts = _sampled_product(acts, slope, self.W_dec)
        if self.options.density_penalty:
            d_acts.values().add_(self._density_slope(acts)[acts.col_indices().long()])
        d_acts.values().mul_(acts.values() > 0)
        self.W_dec.grad = _transpose(acts) @ slope
        self.W_enc.grad = _transpose(d_acts) @ centered
        self.b_enc.grad = _column_sums(d_acts)
        self.b_dec.grad = slope.sum(0) - (d_acts @ self.W_enc).sum(0)

    def _density_slope(self, acts: Tensor) -> Tensor:
        """What the penalty asks of each activation of a feature, [d_sae].

        The loss has density_penalty · Σ min(density / max_density − 1, MOST_EXCESS)₊ · activation, summed over features
        and averaged over tokens: a cost of firing that only those pay who fire on more than max_density of the tokens.
        """
        share = torch.bincount(acts.col_indices().long(), minlength=self.options.d_sae) / acts.shape[0]
        memory = DENSITY_MEMORY if self.n_steps else 0.0
        self.density = memory * self.density + (1 - memory) * share
        excess = (self.density / self.options.max_density - 1).clamp(0, MOST_EXCESS)
        return excess * (self.options.density_penalty / acts.shape[0])

    def _revive_dead(self, centered: Tensor, error: Tensor) -> int:
        """Add the auxiliary gradient: dead features learn to reconstruct what the living left over."""
        dead = (self.silent_tokens >= self.options.dead_after_tokens).nonzero().flatten()
        n_chosen = min(self.d_in // 2, len(dead))
        if not n_chosen or not self.options.aux_coefficient:
            return len(dead)
        scores = centered @ self.W_enc[dead].T + self.b_enc[dead]
        values, features = scores.topk(n_chosen, dim=1)
        rows = torch.arange(len(centered)).repeat_interleave(n_chosen)
        shape = torch.Size((len(centered), self.options.d_sae))
        acts = _csr(rows, dead[features.flatten()], values.flatten().relu(), shape)
        residual = acts @ self.W_dec + error
        slope = residual * (2 * self.options.aux_coefficient / (len(error) * self.total_variance))
        d_acts = _sampled_product(acts, slope, self.W_dec)
        d_acts.values().mul_(acts.values() > 0)
        _grad(self.W_dec).add_(_transpose(acts) @ slope)
        _grad(self.W_enc).add_(_transpose(d_acts) @ centered)
        _grad(self.b_enc).add_(_column_sums(d_acts))
        return len(dead)

    def _follow_silence(self, acts: Tensor) -> None:
        self.silent_tokens += acts.shape[0]
        self.silent_tokens[acts.col_indices().long().unique()] = 0

    def _update(self) -> None:
        n_steps = self.options.tokens // self.options.sae_batch
        warm = min(1.0, (self.n_steps + 1) / WARM_UP_STEPS)
        decay = min(1.0, max(0.0, (n_steps - self.n_steps) / max(1.0, DECAY_SHARE * n_steps)))
        self.optimiser.param_groups[0]["lr"] = self.options.learning_rate * warm * decay
        slope = _grad(self.W_dec)
        outward = torch.linalg.vecdot(slope, self.W_dec).unsqueeze(1)
        slope.addcmul_(outward, self.W_dec, value=-1)  # keep to the sphere of unit rows
        self.optimiser.step()
        self.W_dec.div_(self.W_dec.norm(dim=1, keepdim=True))
        self.n_steps += 1

    def to_params(self) -> SaeParams:
        """The SAE in the model's own units: unit decoder rows, input scale folded into biases and threshold."""
        is_batch = self.options.architecture == "batchtopk"
        return SaeParams(
            W_enc=self.W_enc.T.contiguous(),
            b_enc=self.b_enc / self.scale,
            W_dec=self.W_dec.clone(),
            b_dec=self.mean + self.b_dec / self.scale,
            activation="batchtopk" if is_batch else "topk",
            threshold=torch.full((self.options.d_sae,), self.threshold / self.scale) if is_batch else None,
            k=None if is_batch else self.options.k,
            subtract_b_dec=True,
        )


def _csr(rows: Tensor, columns: Tensor, values: Tensor, shape: torch.Size) -> Tensor:
    """A CSR matrix from entries that are sorted by row."""
    starts = torch.zeros(shape[0] + 1, dtype=torch.long)
    starts[1:] = torch.bincount(rows, minlength=shape[0]).cumsum(0)
    return torch.sparse_csr_tensor(starts, columns, values, tuple(shape), check_invariants=False)


def _rows_of(matrix: Tensor) -> Tensor:
    return torch.arange(matrix.shape[0]).repeat_interleave(matrix.crow_indices().diff())


def _transpose(matrix: Tensor) -> Tensor:
    columns, order = matrix.col_indices().sort(stable=True)
    return _csr(
        columns, _rows_of(matrix)[order], matrix.values()[order], torch.Size((matrix.shape[1], matrix.shape[0]))
    )


def _sampled_product(pattern: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left @ right.T, computed only where `pattern` has entries."""
    ones = _csr(_rows_of(pattern), pattern.col_indices(), torch.zeros_like(pattern.values()), pattern.shape)
    return torch.sparse.sampled_addmm(ones, left, right.T, beta=0.0)


def _column_sums(matrix: Tensor) -> Tensor:
    return torch.bincount(matrix.col_indices(), weights=matrix.values(), minlength=matrix.shape[1]).to(torch.float32)


def _grad(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None
    return parameter.grad
