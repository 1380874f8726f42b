"""A run as wide as real SAEs are, 131,072 features, written through the real store: what pages must cope with.

Counts, activations and examples have the shapes of a real run: frequencies lognormal over six decades, a few features
dead or dense, activations lognormal, examples in all bands at places where the feature's commonest token really stands.
Everything follows from the seed; memory does not grow with the number of features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tests.builders.spread_counts import around, spread
from tests.builders.stopwatch import Stopwatch
from tests.builders.wide_text import CTX_LEN, MadeText, make_text

from featlas.core.histogram import EDGES, N_BINS, N_OCTAVES, OCTAVES, octave_columns, value_bins
from featlas.core.positions import N_BUCKETS, position_buckets
from featlas.domain import (
    Band,
    ContextBatch,
    ExampleBand,
    FeatureBatch,
    FeatureFlag,
    LabelSource,
    LabelStatus,
    SnapshotHeader,
    Split,
    TokenRows,
)
from featlas.store.library import list_saes
from featlas.store.machine_labels import LabelingOrigin, MachineLabel, MachineLabelWriter
from featlas.store.registry import (
    CorpusFacts,
    DocumentFacts,
    ModelFacts,
    SaeFacts,
    add_documents,
    register_corpus,
    register_model,
    register_sae,
    register_tokenizer,
)
from featlas.store.runs import Run, RunFacts, create_run, fetch_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter

N_FEATURES = 131_072
N_NULL = 64
N_CONTEXTS = 16_384
BATCH = 2048
N_GROUPS = 16
MOST_TOKENS = 50
MOST_EVENTS = 8
OCTAVES_BELOW_MAX = 4
BANDS = (Band.TOP, Band.UNIFORM, Band.NEAR_MISS, Band.NON_FIRING, *("octave",) * OCTAVES_BELOW_MAX)
MOST_IN_BAND = np.array([48, 96, 12, 12, *(12,) * OCTAVES_BELOW_MAX])
FIRING_BANDS = {0, 1, *range(4, len(BANDS))}
CATEGORIES = tuple(
    f"{top} > {middle} > {last}"
    for top in ("Language", "Token", "Topic")
    for middle in ("Words", "Syntax", "Form", "Law")
    for last in ("Common", "Rare", "Mixed")
)


@dataclass(frozen=True)
class WideRun:
    """A finished run, the address of its SAE, and the seconds that the store took to write the snapshot."""

    run: Run
    sae: str
    n_features: int
    n_labeled: int
    writing_s: float


def build_wide_run(
    store: Store,
    n_features: int = N_FEATURES,
    *,
    n_contexts: int = N_CONTEXTS,
    seed: int = 0,
    name: str = "wide",
    n_with_examples: int | None = None,
    labels_all: bool = False,
) -> WideRun:
    """Write the run with N_NULL null features behind, put it in force, and label half of its features, or all.

    With `n_with_examples` only the first so many features have examples: those take most of the time.
    """
    text = make_text(n_contexts, seed)
    run, sae_id = _begin(store, text, n_features, name)
    n_all = n_features + N_NULL
    writer = SnapshotWriter(store, run.id, _header(text, n_all), text.occurrences())
    columns: dict[str, list[NDArray]] = {}
    labeler, n_labeled = MachineLabelWriter(store, LabelingOrigin(sae_id, run.id, None)), 0
    occurrences, timed = _Occurrences(text), Stopwatch()
    for at in range(0, n_all, BATCH):
        part = _Part(text, occurrences, np.arange(at, min(at + BATCH, n_all)), n_features, seed)
        batch = part.batch(n_all if n_with_examples is None else n_with_examples)
        timed(writer.add_features, batch)
        for column, values in part.columns(batch).items():
            columns.setdefault(column, []).append(values)
        n_labeled += labeler.add(part.labels(batch, of_all=labels_all))
    for at in range(0, n_contexts, 512):
        timed(writer.add_contexts, _contexts(text, np.arange(at, min(at + 512, n_contexts))))
    timed(writer.add_columns, {column: np.concatenate(parts) for column, parts in columns.items()})
    timed(writer.publish)
    with store.read() as session:
        finished = fetch_run(session, run.id)
        (sae,) = [sae for sae in list_saes(session) if sae.id == finished.sae_id]
    return WideRun(finished, sae.uid, n_features, n_labeled, timed.seconds)


def _begin(store: Store, text: MadeText, n_features: int, name: str) -> tuple[Run, int]:
    tokenizer_id = register_tokenizer(store, f"tokenizer of {name}", text.tokens, [0])
    model = register_model(store, ModelFacts(f"model of {name}", "made-2b", tokenizer_id, d_model=2304, n_layers=26))
    hook_point, architecture = "blocks.12.hook_resid_post", "jumprelu"
    sae_id = register_sae(store, SaeFacts(f"sae of {name}", name, architecture, 2304, n_features, 2304, hook_point))
    facts = CorpusFacts(f"corpus of {name}", "made texts", text.n_documents, text.token_ids.size)
    corpus_id = register_corpus(store, facts)
    documents = (
        DocumentFacts(at, "made.jsonl", str(at), Split(at % 2), {"title": f"Text {at}"})
        for at in range(text.n_documents)
    )
    add_documents(store, corpus_id, documents)
    spec = {"ctx_len": CTX_LEN, "tokens": text.token_ids.size}
    run = create_run(store, RunFacts(model, sae_id, corpus_id, spec, "f" * 64, name, {"hook_point": hook_point}))
    return run, sae_id


def _header(text: MadeText, n_features: int) -> SnapshotHeader:
    by_bucket = np.bincount(position_buckets(np.arange(CTX_LEN)), minlength=N_BUCKETS)
    return SnapshotHeader(
        is_partial=False,
        n_features=n_features,
        n_documents=text.n_documents,
        n_contexts=text.n_contexts,
        n_positions=text.token_ids.size,
        n_tokens=text.token_ids.size,
        n_excluded={"bos": 0, "sink": 0},
        histogram_edges=EDGES,
        quality={"l0": 84.3, "fvu": 0.173},
        position_n_tokens=np.stack([by_bucket, by_bucket]) * text.n_contexts // 2,
    )


def _contexts(text: MadeText, index: NDArray[np.int64]) -> ContextBatch:
    return ContextBatch(
        context_index=index,
        document_index=text.documents()[index],
        token_offset=index % 8 * CTX_LEN,
        indptr=np.arange(len(index) + 1) * CTX_LEN,
        token_ids=text.token_ids[index].ravel(),
    )


class _Occurrences:
    """Where each token stands: the slots of token t are `slots[indptr[t]:indptr[t + 1]]`."""

    def __init__(self, text: MadeText) -> None:
        flat = text.token_ids.ravel()
        self.slots = np.argsort(flat, kind="stable")
        self.n = text.occurrences()
        self.indptr = np.concatenate([[0], np.cumsum(self.n)])

    def draw(self, token: NDArray[np.int64], chance: np.random.Generator) -> NDArray[np.int64]:
        """A place where each token stands."""
        return self.slots[self.indptr[token] + (chance.random(len(token)) * self.n[token]).astype(np.int64)]


class _Part:
    """Some consecutive features, made by a generator of their own, so that no batch depends on another."""

    def __init__(
        self, text: MadeText, occurrences: _Occurrences, index: NDArray[np.int64], n_real: int, seed: int
    ) -> None:
        self._text, self._occurrences, self._index, self._n_real = text, occurrences, index, n_real
        self._chance = np.random.default_rng((seed, int(index[0])))
        chance, n = self._chance, len(index)
        self._n_tokens = text.token_ids.size
        density = 10 ** np.clip(chance.normal(-4.2, 0.9, n), -6.3, -0.4)
        is_alive = chance.random(n) > 0.06
        self.n_fires = np.where(is_alive, np.maximum(1, (density * self._n_tokens).astype(np.int64)), 0)
        share_of_contexts = 1 - np.exp(-self.n_fires / text.n_contexts)
        self.n_contexts = np.minimum(self.n_fires, np.ceil(share_of_contexts * text.n_contexts)).astype(np.int64)
        self.n_documents = np.minimum(self.n_contexts, text.n_documents)
        self.mean = np.where(is_alive, chance.lognormal(1.0, 0.8, n), 0)
        self.std = self.mean * chance.uniform(0.3, 0.9, n)
        self.max = np.where(is_alive, self.mean * chance.lognormal(1.5, 0.4, n), np.nan).astype(np.float32)

    def batch(self, n_with_examples: int) -> FeatureBatch:
        tokens = self._top_tokens()
        n, fires, none = len(self._index), self.n_fires, np.zeros(len(self._index), dtype=np.int64)
        flags = (
            np.where(fires == 0, FeatureFlag.DEAD, 0)
            | np.where(fires > 0.1 * self._n_tokens, FeatureFlag.DENSE, 0)
            | np.where(self._index >= self._n_real, FeatureFlag.NULL, 0)
        )
        total = fires * self.mean
        return FeatureBatch(
            first_feature=int(self._index[0]),
            n_fires=fires,
            n_contexts_fired=self.n_contexts,
            n_documents_fired=self.n_documents,
            sum=total,
            sum_sq=fires * (self.mean**2 + self.std**2),
            max=self.max,
            n_fires_excluded=none,
            max_excluded=np.full(n, np.nan, dtype=np.float32),
            group_n_fires=spread(fires, np.full((n, N_GROUPS), 1 / N_GROUPS)),
            group_sum=np.repeat(total[:, None] / N_GROUPS, N_GROUPS, axis=1),
            flags=flags.astype(np.uint32),
            duplicate_of=none - 1,
            histogram=around(fires, value_bins(np.nan_to_num(self.max)), N_BINS, 14),
            peak_histogram=self._peak_histogram(),
            position_profile=self._position_profile(),
            intervals=self._intervals(),
            top_tokens=tokens,
            examples=list(self._bands(tokens)) if self._index[0] < n_with_examples else [],
        )

    def columns(self, batch: FeatureBatch) -> dict[str, NDArray]:
        has = self.n_fires > 0
        columns = {
            "n_fires": self.n_fires,
            "n_contexts_fired": self.n_contexts,
            "n_documents_fired": self.n_documents,
            "activation_frequency": self.n_fires / self._n_tokens,
            "context_frequency": self.n_contexts / self._text.n_contexts,
            "document_frequency": self.n_documents / self._text.n_documents,
            "mean_activation": np.where(has, self.mean, np.nan),
            "std_activation": np.where(has, self.std, np.nan),
            "max_activation": self.max,
            "flags": batch.flags,
            "duplicate_of": batch.duplicate_of,
        }
        for name, ends in batch.intervals.items():
            columns[f"{name}_low"], columns[f"{name}_high"] = ends[:, 0], ends[:, 1]
        return columns

    def labels(self, batch: FeatureBatch, *, of_all: bool) -> list[MachineLabel]:
        """Every second feature that fires has a label, or every one, in words of its own tokens."""
        tokens = batch.top_tokens
        starts = np.searchsorted(tokens.feature_index, self._index)
        found = []
        is_labeled = of_all | ((self.n_fires > 0) & (self._index % 2 == 0))
        for at in np.flatnonzero(is_labeled & (self._index < self._n_real)).tolist():
            index, first = int(self._index[at]), int(starts[at])
            words = [
                self._text.tokens[token].decode(errors="replace").strip()
                for token in tokens.token_id[first : first + 3].tolist()
            ]
            said = ", ".join(f'"{word}"' for word in words)
            found.append(
                MachineLabel(
                    feature_index=index,
                    status=LabelStatus.LABELED,
                    source=LabelSource.LEXICAL,
                    provider="lexical",
                    semantic_label=f"{said} and alike",
                    category_label=CATEGORIES[index // 2 % len(CATEGORIES)],
                    explanation=f"{self.n_fires[at] // 2:,} of its {self.n_fires[at]:,} firings are on {said}.",
                    evidence_hash=f"{index:064x}",
                    evidence={"n_fires": int(self.n_fires[at])},
                )
            )
        return found

    def _intervals(self) -> dict[str, NDArray[np.float64]]:
        n = np.maximum(self.n_fires, 1)
        wide = 2 / np.sqrt(n)
        frequency = self.n_fires / self._n_tokens
        ends = np.stack([frequency * np.maximum(0, 1 - wide), (self.n_fires + 3) / self._n_tokens * (1 + wide)], axis=1)
        mean = np.stack([self.mean - self.std * wide, self.mean + self.std * wide], axis=1)
        mean[self.n_fires < 2] = np.nan
        return {"activation_frequency": np.minimum(ends, 1.0), "mean_activation": mean}

    def _peak_histogram(self) -> NDArray[np.int64]:
        counts = around(self.n_contexts, octave_columns(np.nan_to_num(self.max)), N_OCTAVES, OCTAVES_BELOW_MAX)
        return np.stack([counts - counts // 2, counts // 2], axis=1)

    def _position_profile(self) -> NDArray[np.int64]:
        by_bucket = np.bincount(position_buckets(np.arange(CTX_LEN)), minlength=N_BUCKETS) / CTX_LEN
        counts = spread(self.n_fires, np.repeat(by_bucket[None], len(self.n_fires), axis=0))
        return np.stack([counts - counts // 2, counts // 2], axis=1)

    def _top_tokens(self) -> TokenRows:
        """Distinct tokens per feature, common ones more often; what fires often fires on more of them."""
        n, chance = len(self._index), self._chance
        wanted = np.minimum(chance.geometric(1 / np.clip(np.sqrt(self.n_fires), 2, 80)), MOST_TOKENS)
        wanted = np.where(self.n_fires > 0, np.clip(wanted, 1, np.maximum(1, self.n_fires // 4)), 0)
        local = np.repeat(np.arange(n), wanted)
        n_vocab = len(self._text.tokens)
        token = (n_vocab ** (0.35 + 0.65 * chance.random(len(local)))).astype(np.int64) % (n_vocab - 1) + 1
        pair = np.unique(local * n_vocab + token)
        feature, token = pair // n_vocab, pair % n_vocab
        weight = 1 / chance.uniform(0.02, 1, len(pair))
        share = weight / np.bincount(feature, weights=weight, minlength=n)[feature]
        n_fires = np.maximum(1, (self.n_fires[feature] * share).astype(np.int64))
        n_fires = np.minimum(n_fires, np.maximum(1, self._occurrences.n[token]))
        total = n_fires * self.mean[feature]
        return TokenRows(
            feature_index=self._index[feature].astype(np.uint32),
            token_id=token.astype(np.uint32),
            n_fires=n_fires,
            n_fires_score_split=n_fires // 2,
            sum=total,
            sum_score_split=total / 2,
            max=np.minimum(self.max[feature], self.mean[feature] * 2).astype(np.float32),
        )

    def _bands(self, tokens: TokenRows) -> Iterator[ExampleBand]:
        n, chance = len(self._index), self._chance
        counts = self._n_published()
        local, band = (part.ravel() for part in np.indices(counts.shape))
        row_feature, row_band = np.repeat(local, counts.ravel()), np.repeat(band, counts.ravel())
        # A feature's main token is where it fires; near misses show that token too.
        main = np.zeros(n, dtype=np.int64) + 1
        order = np.lexsort((tokens.n_fires, tokens.feature_index))
        main[tokens.feature_index[order] - self._index[0]] = tokens.token_id[order]
        is_elsewhere = row_band == BANDS.index(Band.NON_FIRING)
        slot = self._occurrences.draw(main[row_feature], chance)
        slot[is_elsewhere] = chance.integers(0, self._n_tokens, int(is_elsewhere.sum()))
        peak = self._peaks(row_feature, row_band)
        split = self._text.documents()[slot // CTX_LEN] % 2
        order = np.lexsort((np.where(row_band == 0, -peak, 0), split, row_band, row_feature))
        row_feature, row_band = row_feature[order], row_band[order]
        rows = _ExampleRows(slot[order], split[order], peak[order], chance)
        starts = np.flatnonzero(np.diff(row_feature * len(BANDS) + row_band, prepend=-1))
        ends = np.append(starts[1:], len(row_feature))
        first_octave = OCTAVES[octave_columns(np.nan_to_num(self.max))]
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            at, code = int(row_feature[start]), int(row_band[start])
            name = str(BANDS[code]) if code < 4 else f"octave:{int(first_octave[at]) - (code - 4)}"
            n_in_band = int(self.n_contexts[at]) if code in FIRING_BANDS else self._text.n_contexts // 2
            yield rows.band(start, end, int(self._index[at]), name, max(n_in_band, end - start))

    def _n_published(self) -> NDArray[np.int64]:
        """Examples by feature and band; features that fire in few contexts have few octaves."""
        n_published = np.minimum(MOST_IN_BAND[None], self.n_contexts[:, None])
        n_published[:, 3] = 12
        n_published[:, 2] = np.where(self.n_fires > 0, 12, 0)
        for octave in range(1, OCTAVES_BELOW_MAX):
            n_published[:, 4 + octave] = np.where(self.n_contexts >= 3 * octave, n_published[:, 4 + octave], 0)
        return n_published

    def _peaks(self, feature: NDArray[np.int64], band: NDArray[np.int64]) -> NDArray[np.float32]:
        """The value at each example's peak: near the maximum in the top band, within its octave, or anywhere below."""
        most = np.nan_to_num(self.max[feature]).astype(np.float64)
        u = self._chance.random(len(feature))
        octave = np.exp2(np.floor(np.log2(np.maximum(most, 1e-6))) - (band - 4))
        value = np.where(band == 0, most * u**0.15, most * u**1.5 * 0.9 + most * 0.02)
        value = np.where(band >= 4, np.minimum(octave * (1 + 0.99 * u), most), value)
        return np.where((band == 2) | (band == 3), 0, np.maximum(value, 1e-3)).astype(np.float32)


class _ExampleRows:
    """Examples one after another, each a context with its peak and up to seven weaker events after it."""

    def __init__(self, slot: NDArray, split: NDArray, peak: NDArray[np.float32], chance: np.random.Generator) -> None:
        n = len(slot)
        self._context = (slot // CTX_LEN).astype(np.uint32)
        self._split = split.astype(np.uint8)
        self._peak_position = (slot % CTX_LEN).astype(np.uint16)
        self._n_similar = (1 + chance.poisson(0.2, n)).astype(np.uint32)
        n_events = np.where(peak > 0, np.minimum(1 + chance.poisson(2.5, n), MOST_EVENTS), 0)
        gaps = chance.integers(1, CTX_LEN // MOST_EVENTS, (n, MOST_EVENTS))
        gaps[:, 0] = 0
        position = (self._peak_position[:, None] + np.cumsum(gaps, axis=1)) % CTX_LEN
        value = peak[:, None] * chance.uniform(0.05, 0.95, (n, MOST_EVENTS)).astype(np.float32)
        value[:, 0] = peak
        position[np.arange(MOST_EVENTS)[None] >= n_events[:, None]] = CTX_LEN  # behind the context's end: none
        order = np.argsort(position, axis=1)
        position, value = np.take_along_axis(position, order, 1), np.take_along_axis(value, order, 1)
        is_event = position < CTX_LEN
        self._position = position[is_event].astype(np.uint16)
        self._value = value[is_event]
        self._indptr = np.concatenate([[0], np.cumsum(n_events)])

    def band(self, start: int, end: int, feature: int, name: str, n_in_band: int) -> ExampleBand:
        rows = slice(start, end)
        first, last = int(self._indptr[start]), int(self._indptr[end])
        return ExampleBand(
            feature_index=feature,
            band=name,
            n_in_band=n_in_band,
            context_index=self._context[rows],
            split=self._split[rows],
            peak_position=self._peak_position[rows],
            n_similar=self._n_similar[rows],
            indptr=(self._indptr[start : end + 1] - first).astype(np.uint32),
            position=self._position[first:last],
            value=self._value[first:last],
        )
