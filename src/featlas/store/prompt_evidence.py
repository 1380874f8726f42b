"""Reads what a prompt may show of a run's features: the label split, and nothing of the score split."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.domain import Band, EvidenceOptions, ExampleBand, PromptEvidence, Split, TokenCount
from featlas.errors import ConflictError, NotFoundError
from featlas.store.blobs import unpack_examples, unpack_sparse
from featlas.store.read import read_examples_at
from featlas.store.runs import Run
from featlas.store.session import Store
from featlas.store.tables import FeatureActivationsRow, FeatureRow
from featlas.store.token_tables import LabelTokens, LabelTokenTables, read_occurrences
from featlas.store.vocabulary import Vocabulary

_AT_ONCE = 64
_OCTAVE = "octave:"
Places = list[tuple[ExampleBand, int]]


class PromptEvidenceReader:
    """The evidence of one finished run; not for several threads at once.

    Raises ConflictError where the run is not finished, or what labeling needs in its artifact folder is gone.
    """

    def __init__(self, store: Store, run: Run, folder: Path) -> None:
        if run.snapshot_id is None or run.header is None or run.header.is_partial:
            raise ConflictError(f"run {run.name!r} is not finished; `featlas jobs ls` shows how far it is")
        try:
            self._n_occurrences = read_occurrences(folder, Split.LABEL)
        except NotFoundError as error:
            raise ConflictError(
                f"the files of run {run.name!r} are not in {folder} ({error}); labeling reads its token table there, so"
                " extract the run again"
            ) from error
        self._store = store
        self._run = run
        self._snapshot_id = run.snapshot_id
        self._tables = LabelTokenTables(folder)
        with store.read() as session:
            self._vocabulary = Vocabulary.load_of_run(session, run.id)

    def read(self, features: Iterable[int], options: EvidenceOptions) -> Iterator[PromptEvidence]:
        """The evidence of these features, in order, a bounded number at once."""
        wanted = list(features)
        for at in range(0, len(wanted), _AT_ONCE):
            yield from self._read(wanted[at : at + _AT_ONCE], options)

    def _read(self, features: Sequence[int], options: EvidenceOptions) -> Iterator[PromptEvidence]:
        with self._store.read() as session:
            n_contexts = _read_n_contexts(session, self._snapshot_id, features)
            bands = _read_bands(session, self._snapshot_id, features)
            chosen = [choose_places(bands.get(feature, {}), options) for feature in features]
            places = [place for kinds in chosen for kind in kinds for place in kind]
            examples = iter(list(read_examples_at(session, self._run.id, places)))
        for feature, kinds in zip(features, chosen, strict=True):
            top, spread, near_misses, non_firing = ([next(examples) for _ in kind] for kind in kinds)
            yield replace(
                self._counts(feature, n_contexts.get(feature, 0), options.n_tokens),
                max_activation=_strongest(bands.get(feature, {})),
                top=tuple(top),
                spread=tuple(sorted(spread, key=lambda one: -abs(one.max_activation or 0.0))),
                near_misses=tuple(near_misses),
                non_firing=tuple(non_firing),
            )

    def _counts(self, feature: int, n_contexts_fired: int, n_tokens: int) -> PromptEvidence:
        tokens = self._tables.read(feature)
        n_fires = int(tokens.n_fires.sum())
        return PromptEvidence(
            feature_index=feature,
            model=self._run.model,
            hook_point=self._run.hook_point,
            n_tokens=int(self._n_occurrences.sum()),
            n_fires=n_fires,
            n_contexts_fired=n_contexts_fired,
            mean_activation=float(tokens.sum.sum()) / n_fires if n_fires else None,
            max_activation=None,
            tokens=tuple(self._commonest(tokens, n_tokens)),
            top=(),
            spread=(),
            near_misses=(),
            non_firing=(),
        )

    def _commonest(self, tokens: LabelTokens, n: int) -> Iterator[TokenCount]:
        for at in np.lexsort((tokens.token_id, -tokens.n_fires))[:n].tolist():
            token_id = int(tokens.token_id[at])
            yield TokenCount(
                self._vocabulary.readable(token_id), int(tokens.n_fires[at]), int(self._n_occurrences[token_id])
            )


def choose_places(bands: dict[str, ExampleBand], options: EvidenceOptions) -> tuple[Places, Places, Places, Places]:
    """Which examples of the label split are shown: top, spread, near misses, non-firing.

    Those of the spread come from the octaves of the peak in turn, strongest first, so that weak firings are seen as
    well as strong ones however rare either is; each context is shown once.
    """
    top = _label_places(bands.get(str(Band.TOP)))[: options.n_top]
    taken = {int(band.context_index[at]) for band, at in top}
    octaves = sorted((name for name in bands if name.startswith(_OCTAVE)), key=lambda name: -int(name[len(_OCTAVE) :]))
    spread: Places = []
    for turn in zip_longest(*(_label_places(bands[name]) for name in octaves)):
        for place in turn:
            if place is None or len(spread) == options.n_spread:
                continue
            context = int(place[0].context_index[place[1]])
            if context not in taken:
                taken.add(context)
                spread.append(place)
    near_misses = _label_places(bands.get(str(Band.NEAR_MISS)))[: options.n_near_misses]
    non_firing = _label_places(bands.get(str(Band.NON_FIRING)))[: options.n_non_firing]
    return top, spread, near_misses, non_firing


def _strongest(bands: dict[str, ExampleBand]) -> float | None:
    """The largest magnitude on the label split, of whose top examples the first has it; None where it is silent."""
    for band, at in _label_places(bands.get(str(Band.TOP))):
        return float(np.abs(band.value[band.indptr[at] : band.indptr[at + 1]]).max())
    return None


def _label_places(band: ExampleBand | None) -> Places:
    return [] if band is None else [(band, int(at)) for at in np.flatnonzero(band.split == Split.LABEL)]


def _read_bands(session: Session, snapshot_id: int, features: Sequence[int]) -> dict[int, dict[str, ExampleBand]]:
    row = FeatureActivationsRow
    of_features = (row.snapshot_id == snapshot_id, row.feature_index.in_(features), row.band != str(Band.UNIFORM))
    found: dict[int, dict[str, ExampleBand]] = {}
    for feature, band, n, content in session.execute(
        select(row.feature_index, row.band, row.n_in_band, row.data).where(*of_features)
    ):
        found.setdefault(feature, {})[band] = unpack_examples(content, feature, band, n)
    return found


def _read_n_contexts(session: Session, snapshot_id: int, features: Sequence[int]) -> dict[int, int]:
    """Contexts of the label split in which each feature fires."""
    of_features = (FeatureRow.snapshot_id == snapshot_id, FeatureRow.feature_index.in_(features))
    rows: Any = session.execute(select(FeatureRow.feature_index, FeatureRow.peak_histogram).where(*of_features))
    return {feature: _label_share(unpack_sparse(content)) for feature, content in rows}


def _label_share(peaks: NDArray[np.int64]) -> int:
    return int(peaks.reshape(len(Split), -1)[Split.LABEL].sum())
