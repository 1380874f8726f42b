"""Finding features by the text of their labels and by their tokens, alike on both databases."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Integer, Select, Text, case, cast, func, literal_column, select, text
from sqlalchemy.orm import Session

from featlas.domain import LabelStatus
from featlas.errors import InputError
from featlas.store.search_index import SAE_SHIFT, TABLE
from featlas.store.tables import FeatureStateRow, FeatureTokenRow, LabelRow, fold
from featlas.store.template_versions import stale_versions
from featlas.store.vocabulary import Vocabulary

_TRIGRAM = 3
_IDS_PER_QUERY = 500

_SQLITE_SEARCH = (
    select(literal_column(f"rowid & {(1 << SAE_SHIFT) - 1}", Integer).label("feature_index"))
    .select_from(text(TABLE))
    .where(text(f"{TABLE} MATCH :phrase AND rowid BETWEEN :first AND :last"))
)


def find_text(session: Session, sae_id: int, wanted: str) -> NDArray[np.int64]:
    """Indices, ascending, of the SAE's features whose semantic or category label contains the text, case folded.

    Goes through the trigram index (FTS5 or pg_trgm); texts under three characters, and PostgreSQL without pg_trgm, scan
    the SAE's labels. Raises InputError for an empty text.
    """
    folded = fold(wanted)
    if not folded:
        raise InputError("a search for an empty text; expected at least one character")
    if session.get_bind().dialect.name == "sqlite" and len(folded) >= _TRIGRAM:
        phrase = '"' + folded.replace('"', '""') + '"'
        first = sae_id << SAE_SHIFT
        bounds = {"first": first, "last": first + (1 << SAE_SHIFT) - 1}
        return _read_indices(session, _SQLITE_SEARCH.params(phrase=phrase, **bounds))
    column = FeatureStateRow.search_text
    # LIKE is exact on PostgreSQL, and indexed; on SQLite it would fold case again, so there the place is looked for.
    is_found = (
        func.instr(column, folded) > 0
        if session.get_bind().dialect.name == "sqlite"
        else column.contains(folded, autoescape=True)
    )
    return _read_indices(
        session, select(FeatureStateRow.feature_index).where(FeatureStateRow.sae_id == sae_id, is_found)
    )


def find_stale(session: Session, sae_id: int) -> NDArray[np.int64]:
    """Indices, ascending, of features whose label in force comes from a template version that is not the newest."""
    stale = stale_versions(session)
    found = (
        select(FeatureStateRow.feature_index)
        .join(LabelRow, LabelRow.id == FeatureStateRow.current_label_id)
        .where(FeatureStateRow.sae_id == sae_id, LabelRow.template_version_id.in_(stale))
    )
    return _read_indices(session, found) if stale else np.zeros(0, dtype=np.int64)


def find_failed(session: Session, sae_id: int) -> NDArray[np.int64]:
    """Indices, ascending, of features whose newest answer is a failure."""
    failed = case((LabelRow.status == LabelStatus.FAILED, LabelRow.id))
    newest_failed = func.max(LabelRow.id) == func.max(failed)
    by_feature = select(LabelRow.feature_index).where(LabelRow.sae_id == sae_id).group_by(LabelRow.feature_index)
    return _read_indices(session, by_feature.having(newest_failed))


def find_token(session: Session, snapshot_id: int, token: bytes) -> NDArray[np.int64]:
    """Indices, ascending, of the snapshot's features that have the token of exactly these bytes among their top tokens.

    Raises NotFoundError for an unknown snapshot; no feature is found where the vocabulary has no such token.
    """
    token_ids = Vocabulary.load_of_snapshot(session, snapshot_id).find(token)
    return _find_ids(session, snapshot_id, token_ids)


def find_token_text(session: Session, snapshot_id: int, wanted: str) -> NDArray[np.int64]:
    """Indices, ascending, of features one of whose top tokens, as it is shown, contains the text, case folded."""
    vocabulary = Vocabulary.load_of_snapshot(session, snapshot_id)
    folded = fold(wanted)
    token_ids = [token for token in range(len(vocabulary)) if folded in fold(vocabulary.readable(token))]
    return _find_ids(session, snapshot_id, token_ids)


def _find_ids(session: Session, snapshot_id: int, token_ids: list[int]) -> NDArray[np.int64]:
    found = [np.zeros(0, dtype=np.int64)]
    for at in range(0, len(token_ids), _IDS_PER_QUERY):
        wanted = FeatureTokenRow.token_id.in_(token_ids[at : at + _IDS_PER_QUERY])
        of_snapshot = FeatureTokenRow.snapshot_id == snapshot_id
        found.append(_read_indices(session, select(FeatureTokenRow.feature_index).where(of_snapshot, wanted)))
    return np.unique(np.concatenate(found))


def _read_indices(session: Session, statement: Select[int]) -> NDArray[np.int64]:
    """The ascending, distinct results of a query, as one text: a row for each of a million would take a second."""
    found = statement.subquery()
    joined = session.scalar(select(func.aggregate_strings(cast(found.c.feature_index, Text), ",")))
    return np.unique(np.fromstring(joined or "", dtype=np.int64, sep=","))
