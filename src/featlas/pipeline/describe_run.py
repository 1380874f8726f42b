"""Describes every feature of a run from its block files and publishes them, in memory that neither grows with the
tokens read nor with the number of features.

Block files are feature-major, so a range of features is one contiguous slice of each. Ranges are chosen by their number
of events, chunks by the same measure; both follow from the blocks' content, so the result is the same bit for bit
whatever wrote the blocks in whatever order.
"""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.corpus_index import CorpusIndex, index_corpus
from featlas.core.describe import DescribeOptions, FeatureDescription, FeatureRange, describe_features
from featlas.core.duplicates import find_duplicates
from featlas.core.events import FeatureEvents
from featlas.core.histogram import EDGES
from featlas.core.published import ExampleTable, with_duplicates
from featlas.core.quality import QualityTotals, quality_figures
from featlas.core.windows import WindowCounts, count_windows
from featlas.domain import Cause, ContextBatch, FeatureBatch, FeatureFlag, SnapshotHeader, Split
from featlas.engine.memory import give_back_memory
from featlas.engine.threads import map_in_threads
from featlas.pipeline.plan import Plan
from featlas.pipeline.progress import Progress, Stop
from featlas.store.artifacts import load_block_extras, read_block_indptr, read_block_slice, save_table
from featlas.store.atomic_files import disk_errors_named
from featlas.store.snapshots import SnapshotWriter
from featlas.store.token_tables import OCCURRENCES, TOKEN_TABLES

EVENTS_PER_CHUNK = 1 << 18
FEATURES_PER_RANGE = 512
CONTEXTS_PER_BATCH = 512


@dataclass(frozen=True)
class RunTotals:
    """What all blocks together say, before any feature is described. Feature arrays have shape [n_features]."""

    blocks: list[int]
    n_events: NDArray[np.int64]
    n_fires_excluded: NDArray[np.int64]
    max_excluded: NDArray[np.float32]
    n_by_cause: NDArray[np.int64]
    quality: QualityTotals


def add_up_blocks(plan: Plan, blocks: list[int], n_features: int, cause: NDArray[np.uint8]) -> RunTotals:
    """Read what each block says beside its events, in block order; `cause` [n_slots] is filled in."""
    n_events = np.zeros(n_features, dtype=np.int64)
    n_excluded = np.zeros(n_features, dtype=np.int64)
    max_excluded = np.zeros(n_features, dtype=np.float32)
    n_by_cause = np.zeros(len(Cause), dtype=np.int64)
    quality = QualityTotals.empty()
    for block in blocks:
        n_events += np.diff(read_block_indptr(plan.folder, block))
        extras = load_block_extras(plan.folder, block)
        n_excluded[extras.excluded_feature] += extras.excluded_n
        max_excluded[extras.excluded_feature] = np.maximum(max_excluded[extras.excluded_feature], extras.excluded_max)
        here = cause[block * plan.block_slots : (block + 1) * plan.block_slots]
        here[:] = extras.cause[: len(here)]
        n_by_cause += np.bincount(here, minlength=len(Cause))
        quality = quality.plus(extras.quality["totals"], extras.quality["sums"])
    return RunTotals(blocks, n_events, n_excluded, max_excluded, n_by_cause, quality)


def choose_ranges(n_events: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Consecutive (first, last) feature ranges of at most EVENTS_PER_CHUNK events or a single feature each."""
    ranges: list[tuple[int, int]] = []
    first, held = 0, 0
    for feature, n in enumerate(n_events.tolist()):
        if feature > first and (held + n > EVENTS_PER_CHUNK or feature - first >= FEATURES_PER_RANGE):
            ranges.append((first, feature))
            first, held = feature, 0
        held += n
    return [*ranges, (first, len(n_events))]


def read_chunks(plan: Plan, blocks: list[int], first: int, last: int) -> Iterator[FeatureEvents]:
    """The events of a feature range in slot order, in chunks of whole blocks of about EVENTS_PER_CHUNK events."""
    held: list[FeatureEvents] = []
    n_held = 0
    for block in blocks:
        indptr, slot, value = read_block_slice(plan.folder, block, first, last - first)
        if held and n_held + len(slot) > EVENTS_PER_CHUNK:
            yield _joined(held)
            held, n_held = [], 0
        held.append(FeatureEvents(first, indptr, slot.astype(np.int64) + block * plan.block_slots, value))
        n_held += len(slot)
    if held:
        yield _joined(held)


def _joined(parts: list[FeatureEvents]) -> FeatureEvents:
    """Several blocks' events as one chunk: by feature, then slot (blocks come in slot order)."""
    if len(parts) == 1:
        return parts[0]
    counts = np.stack([np.diff(part.indptr) for part in parts])  # [n_parts, n_features]
    order = np.argsort(np.concatenate([part.feature() for part in parts]), kind="stable")
    indptr = np.concatenate([[0], np.cumsum(counts.sum(0))])
    slot = np.concatenate([part.slot for part in parts])[order]
    value = np.concatenate([part.value for part in parts])[order]
    return FeatureEvents(parts[0].first_feature, indptr, slot, value)


@dataclass(frozen=True)
class Description:
    """All features of a run, described: batches on disk, columns and what the header needs in memory."""

    spool: Path
    n_batches: int
    columns: dict[str, NDArray]
    windows: WindowCounts
    index: CorpusIndex
    corpus: CorpusArrays
    totals: RunTotals
    n_real: int

    def read_batches(self) -> Iterator[FeatureBatch]:
        """What is published, range by range in feature order."""
        for number in range(self.n_batches):
            with (self.spool / f"{number:06d}.pickle").open("rb") as file:
                facts, examples = pickle.load(file)  # our own file, written by this job a moment ago
            first = facts.first_feature
            bands = examples.with_similar_counts(self.corpus, self.windows).bands(first)
            yield with_duplicates(
                replace(facts, examples=bands), self.columns["duplicate_of"][first : first + len(facts)]
            )

    def header(self, *, is_partial: bool) -> SnapshotHeader:
        """The snapshot's counts and quality figures."""
        corpus = self.corpus
        totals, n_real = self.totals, self.n_real
        causes = totals.n_by_cause
        n_tokens = self.index.totals.n_tokens
        return SnapshotHeader(
            is_partial=is_partial,
            n_features=len(self.totals.n_events),
            n_documents=corpus.n_documents,
            n_contexts=corpus.n_contexts,
            n_positions=int(causes.sum() - causes[Cause.PADDING]),
            n_tokens=n_tokens,
            n_excluded={cause.name.lower(): int(causes[cause]) for cause in (Cause.BOS, Cause.SINK)},
            histogram_edges=EDGES,
            quality=quality_figures(
                totals.quality, totals.n_events[:n_real], totals.n_fires_excluded[:n_real], n_tokens
            ),
            position_n_tokens=self.index.totals.bucket_n_tokens,
        )


def describe_run(  # the seven are the whole of what describing rests on
    plan: Plan,
    blocks: list[int],
    n_features: int,
    options: DescribeOptions,
    spool: Path,
    progress: Progress,
    stop: Stop,
) -> Description:
    """Describe all features range by range into `spool`, then count how often their examples' windows occur.

    Args:
        plan: of the run.
        blocks: the blocks to describe: all, or the first ones for a partial snapshot.
        n_features: features of the SAE and null features.
        options: how much is kept of each feature.
        spool: folder for the described ranges; emptied by the caller.
        progress: told of features described.
        stop: asked between ranges.
    """
    corpus = plan.corpus().head(len(blocks) * plan.block_slots)
    with disk_errors_named(spool):
        cause = np.lib.format.open_memmap(spool / "cause.npy", mode="w+", dtype=np.uint8, shape=corpus.cause.shape)
    totals = add_up_blocks(plan, blocks, n_features, cause)
    corpus = replace(corpus, cause=cause)
    index = index_corpus(corpus, options.seed)
    save_table(plan.folder, OCCURRENCES, {s.name.lower(): index.totals.n_occurrences[s] for s in Split})
    columns: dict[str, list[NDArray]] = {}
    windows: list[NDArray[np.uint64]] = []
    firing_hashes: list[NDArray[np.uint64]] = []
    progress.phase("describing features", n_features, "features")
    ranges = choose_ranges(totals.n_events)

    def describe(bounds: tuple[int, int]) -> FeatureDescription:
        stop.check()
        first, last = bounds
        features = FeatureRange(first, totals.n_fires_excluded[first:last], totals.max_excluded[first:last])
        return describe_features(features, _chunk_reader(plan, blocks, first, last), corpus, index, options)

    for number, described in enumerate(map_in_threads(describe, ranges)):
        give_back_memory()
        save_table(plan.folder, f"{TOKEN_TABLES}{number:06d}", vars(described.token_rows))
        windows.append(np.unique(described.examples.windows(corpus)))
        for name, values in described.columns.items():
            columns.setdefault(name, []).append(values)
        columns.setdefault("flags", []).append(described.facts.flags)
        firing_hashes.append(described.firing_hash)
        _save_spooled(spool / f"{number:06d}.pickle", (described.facts, described.examples))
        progress.advance(len(described.facts))
    return Description(
        spool=spool,
        n_batches=len(ranges),
        columns=_with_duplicates({n: np.concatenate(parts) for n, parts in columns.items()}, firing_hashes),
        windows=count_windows(corpus, np.concatenate(windows)),
        index=index,
        corpus=corpus,
        totals=totals,
        n_real=options.n_real,
    )


def _with_duplicates(columns: dict[str, NDArray], firing_hashes: list[NDArray[np.uint64]]) -> dict[str, NDArray]:
    """The columns with `duplicate_of` of all features, and their flags with DUPLICATE."""
    duplicate_of = find_duplicates(np.concatenate(firing_hashes), columns["n_fires"])
    flag = np.where(duplicate_of >= 0, np.uint32(FeatureFlag.DUPLICATE), np.uint32(0))
    return {**columns, "duplicate_of": duplicate_of, "flags": columns["flags"] | flag}


def _chunk_reader(plan: Plan, blocks: list[int], first: int, last: int) -> Callable[[], Iterator[FeatureEvents]]:
    return lambda: read_chunks(plan, blocks, first, last)


def _save_spooled(path: Path, described: tuple[FeatureBatch, ExampleTable]) -> None:
    with disk_errors_named(path), path.open("wb") as file:
        pickle.dump(described, file, protocol=pickle.HIGHEST_PROTOCOL)


def publish_description(description: Description, writer: SnapshotWriter, progress: Progress, stop: Stop) -> None:
    """Write everything through the writer and put it in force."""
    corpus = description.corpus
    is_needed = np.zeros(corpus.n_contexts, dtype=bool)
    is_needed[description.index.probe.context] = True
    progress.phase("publishing", len(description.totals.n_events), "features")
    for batch in description.read_batches():
        stop.check()
        writer.add_features(batch)
        for band in batch.examples:
            is_needed[band.context_index] = True
        progress.advance(len(batch))
    needed = np.flatnonzero(is_needed)
    for start in range(0, len(needed), CONTEXTS_PER_BATCH):
        writer.add_contexts(context_batch(corpus, needed[start : start + CONTEXTS_PER_BATCH]))
    writer.add_columns(description.columns)
    writer.publish()


def context_batch(corpus: CorpusArrays, contexts: NDArray[np.int64]) -> ContextBatch:
    """Some contexts with their tokens."""
    lengths = np.asarray(corpus.context_n[contexts], dtype=np.int64)
    starts = np.asarray(corpus.context_slot[contexts], dtype=np.int64)
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    slots = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
    return ContextBatch(
        context_index=contexts,
        document_index=np.asarray(corpus.context_document[contexts], dtype=np.int64),
        token_offset=np.asarray(corpus.context_token_offset[contexts], dtype=np.int64),
        indptr=indptr,
        token_ids=np.asarray(corpus.token_ids[slots], dtype=np.uint32),
    )
