"""Which features of a run a labeling job labels, and why the others of its query are left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.domain import FeatureFlag
from featlas.specs import LabelSpec
from featlas.store.column_cache import ColumnCache
from featlas.store.label_state import list_chosen_by_people
from featlas.store.labelings import list_failed, list_in_force, read_answered
from featlas.store.listing import select_features
from featlas.store.read import published_snapshot
from featlas.store.runs import Run
from featlas.store.session import Store

FLAGGED = FeatureFlag.DEAD | FeatureFlag.DENSE | FeatureFlag.SINK_ONLY | FeatureFlag.NULL | FeatureFlag.DUPLICATE
"""Features with one of these flags get no label: the flag says what they are."""


@dataclass(frozen=True)
class Choice:
    """The features to label in the query's order, and how many of the query's are left out, by why.

    `n_features` counts all features of the snapshot. Left out: `human` has a label of people, `flagged` a flag,
    `labeled` a label in force already, `answered` was answered by an earlier attempt of this job.
    """

    features: NDArray[np.int64]
    n_features: int
    skipped: dict[str, int]

    @property
    def is_wanted(self) -> NDArray[np.bool_]:
        """Whether each feature of the snapshot is chosen."""
        wanted = np.zeros(self.n_features, dtype=bool)
        wanted[self.features] = True
        return wanted


def choose_features(store: Store, run: Run, spec: LabelSpec, job_id: int | None = None) -> Choice:
    """The features of a finished run that the query matches, without those that are flagged or that people labeled.

    A language model is not asked again about what it answered in this job, nor, unless the spec says so, about what has
    a label.
    """
    snapshot_id, _ = published_snapshot(run)
    with store.read() as session:
        selection = select_features(session, ColumnCache(), snapshot_id, spec.query)
        n = len(selection.columns.flags)
        order = np.asarray(selection.order(), dtype=np.int64)
        reasons = {"human": _mask(list_chosen_by_people(session, run.sae_id), n)}
        reasons["flagged"] = (selection.columns.flags & FLAGGED) != 0
        if spec.asks_a_language_model and job_id is not None:
            reasons["answered"] = _mask(read_answered(session, job_id).features, n)
        if spec.asks_a_language_model and not spec.relabel and spec.retry_of is None:
            reasons["labeled"] = _mask(list_in_force(session, run.sae_id), n)
        if spec.retry_of is not None:
            order = order[_mask(list_failed(session, spec.retry_of), n)[order]]
    skipped = {}
    for why, mask in reasons.items():
        skipped[why] = int(mask[order].sum())
        order = order[~mask[order]]
    return Choice(order, n, skipped)


def _mask(features: list[int] | frozenset[int], n: int) -> NDArray[np.bool_]:
    mask = np.zeros(n, dtype=bool)
    index = np.array(sorted(features), dtype=np.int64)
    mask[index[index < n]] = True
    return mask
