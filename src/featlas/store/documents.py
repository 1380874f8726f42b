"""A stretch of a document as a run read it, with one feature's activations: what surrounds an example."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.domain import Split
from featlas.errors import InputError, NotFoundError
from featlas.store.artifacts import artifact_name, load_plan_arrays, load_plan_record, read_block_slice
from featlas.store.runs import Run
from featlas.store.tables import DocumentRow, RunRow
from featlas.store.vocabulary import Vocabulary


@dataclass(frozen=True)
class Stretch:
    """Tokens first_token … of a document; `positions` count from the stretch's first token, as in MarkedContext."""

    document: int
    source: str
    external_id: str
    metadata: dict[str, Any]
    split: Split
    first_token: int
    n_document_tokens: int
    text: bytes
    ends: NDArray[np.uint32]
    token_ids: NDArray[np.uint32]
    positions: NDArray[np.int64]
    values: NDArray[np.float32]


def read_stretch(
    session: Session, artifacts_path: Path, run: Run, document: int, feature: int, wanted: range
) -> Stretch:
    """The tokens at these offsets of a document (what there is of them) and the feature's events among them.

    Raises NotFoundError where the corpus has no such document or the run's artifact folder is gone, InputError for a
    feature that the run does not have.
    """
    if not 0 <= feature < run.n_features:
        raise InputError(f"run {run.name!r} has no feature {feature}; its features are 0 … {run.n_features - 1}")
    row = _fetch_document(session, run, document)
    folder = artifacts_path / artifact_name(run.spec_hash, run.job_id)
    block_slots = load_plan_record(folder)["block_slots"]
    arrays = load_plan_arrays(folder)
    slots = _document_slots(arrays, document)
    chosen = slots[max(wanted.start, 0) : max(wanted.stop, 0)]
    token_ids = np.asarray(arrays["token_ids"][chosen], dtype=np.uint32)
    text, ends = Vocabulary.load_of_run(session, run.id).concatenate(token_ids)
    positions, values = _read_events(folder, chosen, feature, block_slots)
    return Stretch(
        document=document,
        source=row.source,
        external_id=row.external_id,
        metadata=row.document_metadata,
        split=Split(row.split),
        first_token=min(max(wanted.start, 0), len(slots)),
        n_document_tokens=len(slots),
        text=text,
        ends=ends,
        token_ids=token_ids,
        positions=positions,
        values=values,
    )


def _fetch_document(session: Session, run: Run, document: int) -> DocumentRow:
    found = None
    if 0 <= document < 2**31:
        of_run = select(DocumentRow).join(RunRow, RunRow.corpus_id == DocumentRow.corpus_id).where(RunRow.id == run.id)
        found = session.scalars(of_run.where(DocumentRow.document_index == document)).one_or_none()
    if found is None:
        raise NotFoundError(f"the corpus of run {run.name!r} has no document {document}")
    return found


def _document_slots(arrays: dict[str, NDArray], document: int) -> NDArray[np.int64]:
    """Where the document's tokens lie, in the order of the text; packed, its parts lie in several contexts."""
    segment = np.flatnonzero(arrays["segment_document"] == document)
    segment = segment[np.argsort(arrays["segment_token_offset"][segment], kind="stable")]
    starts, lengths = arrays["segment_slot"][segment], arrays["segment_n"][segment]
    ranges = [np.arange(start, start + n) for start, n in zip(starts.tolist(), lengths.tolist(), strict=True)]
    return np.concatenate([np.zeros(0, dtype=np.int64), *ranges])


def _read_events(
    folder: Path, slots: NDArray[np.int64], feature: int, block_slots: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Places in `slots` where the feature fires, ascending, and its values there; unfinished blocks have none."""
    places, values = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.float32)]
    for block in np.unique(slots // block_slots).tolist():
        try:
            _, fired, value = read_block_slice(folder, block, feature, 1)
        except NotFoundError:
            continue
        at = np.flatnonzero(slots // block_slots == block)
        _, place, place_fired = np.intersect1d(slots[at] - block * block_slots, fired, return_indices=True)
        places.append(at[place])
        values.append(value[place_fired])
    place = np.concatenate(places)
    order = np.argsort(place)
    return place[order], np.concatenate(values)[order]
