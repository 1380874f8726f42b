"""Reads what labelers need of many features at once: one band of examples, and the events by position."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.domain import ExampleBand
from featlas.store.blobs import unpack_examples, unpack_sparse
from featlas.store.tables import FeatureActivationsRow, FeatureRow


def read_bands(session: Session, snapshot_id: int, features: Sequence[int], band: str) -> dict[int, ExampleBand]:
    """The examples of one band by feature; features without any are left out."""
    row = FeatureActivationsRow
    of_band = (row.snapshot_id == snapshot_id, row.feature_index.in_(features), row.band == str(band))
    rows = session.execute(select(row.feature_index, row.n_in_band, row.data).where(*of_band))
    return {feature: unpack_examples(content, feature, str(band), n) for feature, n, content in rows}


def read_position_profiles(session: Session, snapshot_id: int, features: Sequence[int]) -> dict[int, NDArray[np.int64]]:
    """Events by split and position bucket, flat, by feature."""
    of_features = (FeatureRow.snapshot_id == snapshot_id, FeatureRow.feature_index.in_(features))
    rows = session.execute(select(FeatureRow.feature_index, FeatureRow.position_profile).where(*of_features))
    return {feature: unpack_sparse(content) for feature, content in rows}
