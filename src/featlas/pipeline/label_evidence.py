"""Reads what the offline labeler may see of a finished run: the label split, and nothing of the score split.

The full token table, the positions and the examples of each feature keep the two splits apart; here the score split's
share is dropped before anything else sees it. What a corpus says of its documents is not read at all.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays
from featlas.core.positions import N_BUCKETS
from featlas.domain import Band, ExampleBand, Split
from featlas.errors import ConflictError, NotFoundError
from featlas.explain.corpus_evidence import CorpusEvidence, gather_corpus_evidence
from featlas.explain.evidence import ExampleTokens, FeatureEvidence
from featlas.explain.token_classes import sort_vocabulary
from featlas.pipeline.plan import Plan, load_plan
from featlas.store.artifacts import open_table
from featlas.store.label_evidence import read_bands, read_position_profiles
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.token_tables import OCCURRENCES, LabelTokenTables, read_occurrences
from featlas.store.vocabulary import Vocabulary

N_SAMPLED_CONTEXTS = 8192
"""Contexts of the label split in which words are counted, chosen by hash; all of them where there are fewer."""

_SALT = 0x6C6162656C73  # keeps this choice apart from others made with the same seed
_READ_AT_ONCE = 256


@dataclass(frozen=True)
class RunEvidence:
    """The evidence of one run, read range by range."""

    store: Store
    run: Run
    snapshot_id: int
    plan: Plan

    @cached_property
    def corpus(self) -> CorpusEvidence:
        """What the label split's text is like."""
        with self.store.read() as session:
            vocabulary = Vocabulary.load_of_run(session, self.run.id)
        header = self.run.header
        if header is None or header.position_n_tokens is None:
            raise ConflictError(f"run {self.run.name!r} was made by an older version; extract it again to label it")
        arrays = self.plan.corpus()
        return gather_corpus_evidence(
            sort_vocabulary([vocabulary[token_id] for token_id in range(len(vocabulary))]),
            read_occurrences(self.plan.folder, Split.LABEL),
            header.position_n_tokens[Split.LABEL],
            [_context_tokens(arrays, context) for context in sample_contexts(arrays, self.plan.seed)],
        )

    def read_ranges(self, is_wanted: NDArray[np.bool_]) -> Iterator[list[FeatureEvidence]]:
        """The wanted features with an event on the label split, in order, a bounded number at once.

        `is_wanted` [n_features] may include null features. Features silent on the label split come with empty tables.
        """
        tables = LabelTokenTables(self.plan.folder)
        wanted = np.flatnonzero(is_wanted)
        for at in range(0, len(wanted), _READ_AT_ONCE):
            yield self._read(wanted[at : at + _READ_AT_ONCE].tolist(), tables)

    def _read(self, features: list[int], tables: LabelTokenTables) -> list[FeatureEvidence]:
        arrays = self.plan.corpus()
        with self.store.read() as session:
            positions = read_position_profiles(session, self.snapshot_id, features)
            bands = read_bands(session, self.snapshot_id, features, Band.UNIFORM)
        found = []
        for feature in features:
            tokens = tables.read(feature)
            found.append(
                FeatureEvidence(
                    feature_index=feature,
                    token_id=tokens.token_id,
                    token_n_fires=tokens.n_fires,
                    position_n_fires=positions[feature].reshape(len(Split), N_BUCKETS)[Split.LABEL],
                    examples=list(_examples(bands[feature], arrays)) if feature in bands else [],
                )
            )
        return found


def open_evidence(store: Store, run: Run, folder: Path) -> RunEvidence:
    """The evidence of a finished run from its artifact folder.

    Raises ConflictError where the run is not finished, or its folder (or what labeling needs in it) is gone.
    """
    if run.snapshot_id is None or run.header is None or run.header.is_partial:
        raise ConflictError(f"run {run.name!r} is not finished; `featlas jobs ls` shows how far it is")
    try:
        evidence = RunEvidence(store, run, run.snapshot_id, load_plan(folder))
        open_table(folder, OCCURRENCES)
    except NotFoundError as error:
        raise ConflictError(
            f"the files of run {run.name!r} are not in {folder} ({error}); labeling reads its token table there, so"
            " extract the run again"
        ) from error
    return evidence


def sample_contexts(corpus: CorpusArrays, seed: int, n: int = N_SAMPLED_CONTEXTS) -> list[int]:
    """The n contexts of the label split with the smallest hash of document and offset, ascending."""
    context = np.flatnonzero(corpus.document_split[corpus.context_document] == Split.LABEL)
    document_key = corpus.document_key[corpus.context_document[context]]
    key = hash_arrays(seed ^ _SALT, document_key, corpus.context_token_offset[context])
    return np.sort(context[np.argsort(key, kind="stable")[:n]]).tolist()


def _context_tokens(corpus: CorpusArrays, context: int) -> NDArray[np.int64]:
    first = int(corpus.context_slot[context])
    return np.asarray(corpus.token_ids[first : first + int(corpus.context_n[context])], dtype=np.int64)


def _examples(band: ExampleBand, corpus: CorpusArrays) -> Iterator[ExampleTokens]:
    for at in np.flatnonzero(band.split == Split.LABEL).tolist():
        context = int(band.context_index[at])
        events = band.position[int(band.indptr[at]) : int(band.indptr[at + 1])]
        yield ExampleTokens(
            document=int(corpus.context_document[context]),
            token_ids=_context_tokens(corpus, context),
            positions=events.astype(np.int64),
        )
