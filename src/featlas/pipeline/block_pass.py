"""The pass over the text: block after block, tokens become feature events in one file each."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays
from featlas.domain import Cause, HookPoint
from featlas.engine.block_events import BlockEvents
from featlas.engine.events import Events, find_events
from featlas.engine.language_model import LanguageModel
from featlas.engine.quality import reconstruction_sums
from featlas.engine.sae import SaeParams
from featlas.pipeline.plan import Plan
from featlas.pipeline.progress import Progress, Stop
from featlas.store.artifacts import BlockArrays, save_block

QUALITY_SALT = 0x5EED_0F_F1  # keeps the choice of measured contexts apart from every other choice by the same seed
QUALITY_SHARE = 16  # one context in so many is reconstructed
SMALL_CORPUS = 64 * QUALITY_SHARE  # contexts below which all are


@dataclass(frozen=True)
class Target:
    """One SAE to feed, its control features and the rules of counting; the same for every block of a run."""

    sae: SaeParams
    null_features: SaeParams | None
    hook_point: HookPoint
    threshold: float
    sink_limit: float | None
    mean_centred: bool

    @property
    def n_features(self) -> int:
        """Features of the SAE and null features after them."""
        return self.sae.d_sae + (self.null_features.d_sae if self.null_features else 0)


@dataclass(frozen=True)
class BatchRows:
    """A padded batch and where its rows lie: `mask` picks the real tokens, `slot` is their address in the block."""

    token_ids: torch.Tensor  # [n_contexts, longest]
    mask: torch.Tensor  # [n_contexts, longest]
    slot: NDArray[np.int64]  # [n_rows]
    context: NDArray[np.int64]  # [n_rows]


def lay_out_batch(corpus: CorpusArrays, contexts: NDArray[np.int64], block_start: int) -> BatchRows:
    """Right-pad the tokens of some contexts. Rows go context by context, position by position."""
    lengths = np.asarray(corpus.context_n[contexts], dtype=np.int64)
    starts = np.asarray(corpus.context_slot[contexts], dtype=np.int64)
    position = np.arange(lengths.max())
    mask = position[None, :] < lengths[:, None]
    slots = np.where(mask, starts[:, None] + position[None, :], starts[:, None])
    return BatchRows(
        token_ids=torch.from_numpy(np.asarray(corpus.token_ids[slots], dtype=np.int64)),
        mask=torch.from_numpy(mask),
        slot=(slots - block_start)[mask],
        context=np.repeat(contexts, lengths),
    )


def run_blocks(
    plan: Plan, blocks: Iterable[int], model: LanguageModel, target: Target, progress: Progress, stop: Stop
) -> None:
    """Make the block files of the given blocks, each written when it is whole.

    Raises JobCancelled or JobPaused between two batches when asked to stop; finished blocks stay.
    """
    corpus = plan.corpus()
    for block in blocks:
        save_block(plan.folder, block, read_block(plan, corpus, block, model, target, progress, stop))


def read_block(
    plan: Plan, corpus: CorpusArrays, block: int, model: LanguageModel, target: Target, progress: Progress, stop: Stop
) -> BlockArrays:
    """Run the model and the SAE over one block."""
    start = block * plan.block_slots
    cause = np.array(corpus.cause[start : start + plan.block_slots])
    found = BlockEvents(target.n_features, plan.block_slots)
    quality = QualitySums(model.device, target.sae.d_out)
    for contexts in plan.batches(block):
        stop.check()
        rows = lay_out_batch(corpus, contexts, start)
        acts = model.activations(rows.token_ids, [target.hook_point])[target.hook_point][rows.mask.to(model.device)]
        if target.mean_centred:
            acts = acts - acts.mean(dim=-1, keepdim=True)
        _mark_sinks(cause, rows.slot, acts, target.sink_limit)
        events = find_events(target.sae, acts, target.threshold)
        found.add(events, rows.slot)
        if target.null_features is not None:
            # They have thresholds of their own; the run's is in the SAE's units.
            found.add(find_events(target.null_features, acts, threshold=0.0), rows.slot, target.sae.d_sae)
        all_events = None if target.threshold > 0 else events
        quality.add(target.sae, acts, all_events, cause[rows.slot], _is_measured(plan, corpus, rows.context))
        progress.advance(len(rows.slot))
    events = found.take_sorted(cause == Cause.COUNTED)
    return BlockArrays(**vars(events), cause=cause, quality=quality.arrays())


def _mark_sinks(cause: NDArray[np.uint8], slot: NDArray[np.int64], acts: torch.Tensor, limit: float | None) -> None:
    if limit is None:
        return
    is_sink = (acts.norm(dim=-1) > limit).cpu().numpy() & (cause[slot] == Cause.COUNTED)
    cause[slot[is_sink]] = Cause.SINK


def _is_measured(plan: Plan, corpus: CorpusArrays, context: NDArray[np.int64]) -> NDArray[np.bool_]:
    if corpus.n_contexts < SMALL_CORPUS:
        return np.ones(len(context), dtype=bool)
    document = np.asarray(corpus.context_document[context])
    offset = np.asarray(corpus.context_token_offset[context])
    keys = hash_arrays(plan.seed ^ QUALITY_SALT, np.asarray(corpus.document_key[document]), offset)
    return keys % np.uint64(QUALITY_SHARE) == 0


class QualitySums:
    """Reconstruction sums of one block, apart for counted positions and sinks."""

    CAUSES = (Cause.COUNTED, Cause.SINK)

    def __init__(self, device: torch.device, d_out: int) -> None:
        self._device = device
        self._totals = np.zeros((len(self.CAUSES), 3))
        self._sums = np.zeros((len(self.CAUSES), d_out))

    def add(
        self,
        sae: SaeParams,
        acts: torch.Tensor,
        events: Events | None,
        cause: NDArray[np.uint8],
        is_measured: NDArray[np.bool_],
    ) -> None:
        """Add the measured rows of a batch: acts [n, d_in]; all events, if known; cause and is_measured [n]."""
        for row, wanted in enumerate(self.CAUSES):
            chosen = is_measured & (cause == wanted)
            if chosen.any():
                here = acts[torch.from_numpy(chosen).to(self._device)]
                sums = reconstruction_sums(sae, here, events=None if events is None else events.of_rows(chosen))
                self._totals[row] += [sums["n"], sums["error"], sums["square"]]
                self._sums[row] += np.asarray(sums["sum"])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """`totals` [2, 3] (n, Σ‖x−x̂‖², Σ‖x‖²) and `sums` [2, d_out] (Σx); first row counted, second sinks."""
        return {"totals": self._totals, "sums": self._sums}
