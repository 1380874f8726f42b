"""The parts of a feature's row that only its own page shows: shapes of its activity, and what was left out."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, bindparam, select
from sqlalchemy.orm import Session

from featlas.errors import NotFoundError
from featlas.store.blobs import unpack_sparse
from featlas.store.tables import FeatureRow, SnapshotRow


@dataclass(frozen=True)
class FeatureProfile:
    """Counts by shape, flat as they are stored: [split, octave] of peaks, [split, position bucket] of events.

    `position_n_tokens` counts the corpus's positions alike; None in snapshots that did not keep it.
    """

    n_documents_fired: int
    max_excluded: float | None
    duplicate_of: int | None
    peak_histogram: NDArray[np.int64]
    position_profile: NDArray[np.int64]
    position_n_tokens: NDArray[np.int64] | None


def fetch_profile(session: Session, snapshot_id: int, feature_index: int) -> FeatureProfile:
    """The profile of one feature; raises NotFoundError where the snapshot has no such feature."""
    found = session.execute(_profiles(), {"snapshot": snapshot_id, "index": feature_index}).one_or_none()
    if found is None:
        raise NotFoundError(f"there is no feature {feature_index} in this snapshot")
    return FeatureProfile(
        n_documents_fired=found.n_documents_fired,
        max_excluded=found.max_excluded,
        duplicate_of=found.duplicate_of,
        peak_histogram=unpack_sparse(found.peak_histogram),
        position_profile=unpack_sparse(found.position_profile),
        position_n_tokens=None if found.position_n_tokens is None else np.array(found.position_n_tokens).ravel(),
    )


@cache
def _profiles() -> Select[*tuple[Any, ...]]:
    return (
        select(
            FeatureRow.n_documents_fired,
            FeatureRow.max_excluded,
            FeatureRow.duplicate_of,
            FeatureRow.peak_histogram,
            FeatureRow.position_profile,
            SnapshotRow.position_n_tokens,
        )
        .join(SnapshotRow, SnapshotRow.id == FeatureRow.snapshot_id)
        .where(FeatureRow.snapshot_id == bindparam("snapshot"), FeatureRow.feature_index == bindparam("index"))
    )
