"""Made-up directions of the made-up runs: every number follows from the feature's index."""

import numpy as np

from featlas.domain import DirectionKind, MapMethod
from featlas.store.bulk import no_guard
from featlas.store.direction_writer import DirectionsFacts, DirectionsWriter
from featlas.store.directions import fetch_weights
from featlas.store.runs import Run
from featlas.store.session import Store

N_FEATURES = 4
WITHOUT = 1
"""The feature that has no direction."""


def begin_directions(store: Store, run: Run, job_id: int | None = None, guard=no_guard) -> DirectionsWriter:
    """A writer that has everything but the map: feature i promotes token 2 (by i + 1) and suppresses 0 (by −i)."""
    with store.read() as session:
        weights = fetch_weights(session, run)
    options = {"n_tokens": 2, "n_neighbours": 2, "map": "pca"}
    facts = DirectionsFacts(weights.sae_id, weights.model_id, job_id, N_FEATURES, options)
    writer = DirectionsWriter(store, facts, guard)
    index = np.arange(N_FEATURES)
    has = index != WITHOUT
    token_ids = np.tile([2, 7, 0, 1], (N_FEATURES, 1))
    effects = np.stack([index + 1.0, index + 0.5, -index, 0.5 - index], axis=1).astype(np.float32)
    half = N_FEATURES // 2
    for part in (slice(0, half), slice(half, N_FEATURES)):
        writer.add_logits(part.start, token_ids[part], effects[part], has[part])
    for kind, nearest in ((DirectionKind.DECODER, 0.995), (DirectionKind.ENCODER, 0.5)):
        near = np.array([[2, 3], [0, 0], [0, 3], [0, 2]])
        cosines = np.tile(np.array([nearest, -0.25], dtype=np.float32), (N_FEATURES, 1))
        writer.add_neighbours(kind, 0, near, cosines, has)
    return writer


def publish_directions(store: Store, run: Run, job_id: int | None = None, guard=no_guard) -> DirectionsWriter:
    """The same with a map by PCA, feature i at (i, −i), in force."""
    writer = begin_directions(store, run, job_id, guard)
    index = np.arange(N_FEATURES, dtype=np.float32)
    places = np.stack([index, -index], axis=1)
    places[WITHOUT] = np.nan
    writer.add_map(MapMethod.PCA, places, (0.5, 0.25))
    writer.publish({}, {"decoder": 3, "encoder": 0})
    return writer
