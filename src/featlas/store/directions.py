"""Reading what an SAE's weights say by themselves: a feature's tokens and neighbours, and the maps of all features."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.domain import DirectionKind, MapMethod
from featlas.errors import NotFoundError
from featlas.store.blobs import unpack_array
from featlas.store.direction_blobs import unpack_rated
from featlas.store.runs import Run
from featlas.store.tables import (
    FeatureLogitsRow,
    FeatureNeighboursRow,
    ModelRow,
    RunRow,
    SaeDirectionsRow,
    SaeMapRow,
    SaeRow,
    TokenizerRow,
)
from featlas.store.vocabulary import Vocabulary

NEAR_DUPLICATE = 0.99
"""Directions of this cosine or more (an angle of 8.1° or less) point the same way."""

LOGITS, MAP = "logits", "map"
"""Of what there may be none, with a reason."""

ZERO = "the feature's direction is zero"


@dataclass(frozen=True)
class RunWeights:
    """The weights that a run was made with, as the store knows them; `n_vocab` counts the tokenizer's tokens."""

    sae_id: int
    sae_fingerprint: str
    model_id: int
    model_fingerprint: str
    d_model: int
    n_vocab: int


@dataclass(frozen=True)
class Directions:
    """What was computed of an SAE's directions with a model, and of what there is none: `reasons` by name."""

    id: int
    sae_id: int
    model_id: int
    job_id: int | None
    n_features: int
    options: Mapping[str, Any]
    reasons: Mapping[str, str]
    n_near_duplicates: Mapping[str, int]
    published_at: dt.datetime


@dataclass(frozen=True)
class RatedToken:
    """A token, and what one unit of the feature's direction does to its logit (docs/statistics.md)."""

    token_id: int
    token: str
    effect: float


@dataclass(frozen=True)
class FeatureLogits:
    """The tokens that a feature's decoder direction promotes, largest first, and suppresses, smallest first.

    `reason` says why there are none; None where there are.
    """

    reason: str | None
    promoted: tuple[RatedToken, ...] = ()
    suppressed: tuple[RatedToken, ...] = ()


@dataclass(frozen=True)
class NearFeature:
    """A feature whose direction is near."""

    feature_index: int
    cosine: float

    @property
    def is_near_duplicate(self) -> bool:
        """Whether it points the same way."""
        return self.cosine >= NEAR_DUPLICATE


@dataclass(frozen=True)
class FeatureNeighbours:
    """The features nearest to one, largest cosine first; `reason` says why there are none."""

    kind: DirectionKind
    reason: str | None
    items: tuple[NearFeature, ...] = ()


@dataclass(frozen=True)
class StoredMap:
    """A place for each feature, [n_features] each, NaN for zero directions; the shares of variance, where known."""

    method: MapMethod
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    explained_variance: tuple[float, float] | None


def fetch_weights(session: Session, run: Run) -> RunWeights:
    """What the store knows of the weights of a run."""
    found = session.execute(
        select(
            RunRow.sae_id,
            SaeRow.fingerprint.label("sae_fingerprint"),
            RunRow.model_id,
            ModelRow.fingerprint.label("model_fingerprint"),
            ModelRow.d_model,
            TokenizerRow.n_vocab,
        )
        .join(SaeRow, SaeRow.id == RunRow.sae_id)
        .join(ModelRow, ModelRow.id == RunRow.model_id)
        .join(TokenizerRow, TokenizerRow.id == ModelRow.tokenizer_id)
        .where(RunRow.id == run.id)
    ).one()
    return RunWeights(**found._mapping)


def find_directions(session: Session, run: Run) -> Directions | None:
    """What is in force of the directions of a run's SAE with its model; None where nothing was computed."""
    row = session.scalars(
        select(SaeDirectionsRow)
        .join(RunRow, (RunRow.sae_id == SaeDirectionsRow.sae_id) & (RunRow.model_id == SaeDirectionsRow.model_id))
        .where(RunRow.id == run.id, SaeDirectionsRow.published_at.is_not(None))
        .order_by(SaeDirectionsRow.published_at.desc(), SaeDirectionsRow.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else Directions(**{name: getattr(row, name) for name in Directions.__dataclass_fields__})


def fetch_directions(session: Session, run: Run) -> Directions:
    """What is in force; raises NotFoundError that says how to have it computed."""
    found = find_directions(session, run)
    if found is None:
        raise NotFoundError(
            f"the directions of the SAE {run.sae!r} were not computed yet; `featlas directions {run.id}` does it"
        )
    return found


def fetch_logits(session: Session, run: Run, directions: Directions, feature_index: int) -> FeatureLogits:
    """The tokens of one feature; raises NotFoundError for an index outside the SAE."""
    _require_feature(run, directions, feature_index)
    if LOGITS in directions.reasons:
        return FeatureLogits(directions.reasons[LOGITS])
    one = (FeatureLogitsRow.directions_id == directions.id, FeatureLogitsRow.feature_index == feature_index)
    ids, effects = unpack_rated(session.scalars(select(FeatureLogitsRow.data).where(*one)).one())
    if len(ids) == 0:
        return FeatureLogits(ZERO)
    vocabulary = Vocabulary.load_of_run(session, run.id)
    tokens = tuple(
        RatedToken(token_id, vocabulary.readable(token_id), effect)
        for token_id, effect in zip(ids.tolist(), effects.tolist(), strict=True)
    )
    n = len(tokens) // 2
    return FeatureLogits(None, tokens[:n], tokens[n:])


def fetch_neighbours(
    session: Session, run: Run, directions: Directions, kind: DirectionKind, feature_index: int
) -> FeatureNeighbours:
    """The nearest features of one; raises NotFoundError for an index outside the SAE."""
    _require_feature(run, directions, feature_index)
    row = FeatureNeighboursRow
    one = (row.directions_id == directions.id, row.kind == kind, row.feature_index == feature_index)
    indices, cosines = unpack_rated(session.scalars(select(row.data).where(*one)).one())
    pairs = zip(indices.tolist(), cosines.tolist(), strict=True)
    items = tuple(NearFeature(index, cosine) for index, cosine in pairs)
    return FeatureNeighbours(kind, None if items else ZERO, items)


def fetch_map(session: Session, directions: Directions, method: MapMethod) -> StoredMap:
    """One of the maps; raises NotFoundError that says why there is none, or which there are."""
    if MAP in directions.reasons:
        raise NotFoundError(f"there is no map of this SAE: {directions.reasons[MAP]}")
    of_directions = SaeMapRow.directions_id == directions.id
    row = session.scalars(select(SaeMapRow).where(of_directions, SaeMapRow.method == method)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no {method} map of this SAE; `featlas directions RUN --map {method}` makes one")
    is_known = row.explained_x is not None and row.explained_y is not None
    shares = (row.explained_x, row.explained_y) if is_known else None
    return StoredMap(row.method, unpack_array(row.x, "<f4"), unpack_array(row.y, "<f4"), shares)  # type: ignore[arg-type]


def _require_feature(run: Run, directions: Directions, feature_index: int) -> None:
    if not 0 <= feature_index < directions.n_features:
        raise NotFoundError(
            f"the SAE {run.sae!r} has no feature {feature_index}; its features are 0 … {directions.n_features - 1}"
        )
