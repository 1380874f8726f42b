"""Making known what a run is made of: each input is found by its fingerprint, or added."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from featlas.domain import SaeOrigin, Split
from featlas.errors import InputError
from featlas.store.blobs import pack_array
from featlas.store.bulk import Guard, Pace, insert_rows, no_guard, write_paced
from featlas.store.plain import plain_json, plain_text, to_json_text
from featlas.store.session import Store
from featlas.store.tables import CorpusRow, DocumentRow, ModelRow, SaeRow, TokenizerRow, utc_now
from featlas.store.uids import new_uid


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a language model; `source` says where it was read from."""

    fingerprint: str
    name: str
    tokenizer_id: int
    d_model: int
    n_layers: int
    source: str = ""
    revision: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SaeFacts:
    """What is known of an SAE; `format` is that of its files, `d_out` the width of what it reconstructs."""

    fingerprint: str
    name: str
    architecture: str
    d_in: int
    d_sae: int
    d_out: int
    hook_point: str
    format: str = "saelens"
    origin: SaeOrigin = SaeOrigin.EXTERNAL
    source: str = ""
    revision: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusFacts:
    """What is known of a tokenised set of documents."""

    fingerprint: str
    name: str
    n_documents: int
    n_tokens: int


@dataclass(frozen=True)
class DocumentFacts:
    """What is known of one document: its file or data set, its id there, and what else came with it."""

    document_index: int
    source: str
    external_id: str
    split: Split
    metadata: Mapping[str, Any] = field(default_factory=dict)


def register_tokenizer(
    store: Store, fingerprint: str, token_bytes: Sequence[bytes], special_ids: Sequence[int] = ()
) -> int:
    """The id of the tokenizer with this fingerprint, added if new; `token_bytes[i]` are the bytes of token `i`."""
    if len(token_bytes) == 0:
        raise InputError("a tokenizer without tokens; expected the bytes of every token id")
    ends = np.cumsum([len(token) for token in token_bytes])
    return _register(
        store,
        TokenizerRow,
        fingerprint,
        {
            "n_vocab": len(token_bytes),
            "bytes": b"".join(token_bytes),
            "ends": pack_array(ends, "<u4"),
            "special_ids": [int(token_id) for token_id in special_ids],
        },
    )


def register_model(store: Store, facts: ModelFacts) -> int:
    """The id of the model with this fingerprint, added if new."""
    return _register(store, ModelRow, facts.fingerprint, {"uid": new_uid(), **_columns(facts)})


def register_sae(store: Store, facts: SaeFacts) -> int:
    """The id of the SAE with this fingerprint, added if new."""
    return _register(store, SaeRow, facts.fingerprint, {"uid": new_uid(), **_columns(facts)})


def register_corpus(store: Store, facts: CorpusFacts) -> int:
    """The id of the corpus with this fingerprint, added if new."""
    return _register(store, CorpusRow, facts.fingerprint, {"uid": new_uid(), **_columns(facts)})


def add_documents(store: Store, corpus_id: int, rows: Iterable[DocumentFacts], guard: Guard = no_guard) -> int:
    """Add the corpus's documents, leaving out those that are there already; returns how many were new."""
    columns = ("corpus_id", "document_index", "source", "external_id", "metadata", "split")
    pace = Pace(first=2048)
    remaining = iter(rows)
    n_added = 0
    while chunk := list(islice(remaining, pace.n)):
        packed = {row.document_index: (corpus_id, row.document_index, *_packed_document(row)) for row in chunk}

        def write(session: Session, packed: dict[int, tuple[Any, ...]] = packed) -> None:
            # Runs over the same texts at the same time: one writes, the other then finds the documents there.
            session.execute(select(CorpusRow.id).where(CorpusRow.id == corpus_id).with_for_update())
            for known in _known_documents(session, corpus_id, packed):
                del packed[known]
            insert_rows(session, DocumentRow, columns, list(packed.values()))

        write_paced(store, guard, pace, len(chunk), write)
        n_added += len(packed)
    return n_added


def _packed_document(row: DocumentFacts) -> tuple[str, str, str, int]:
    return plain_text(row.source), plain_text(row.external_id), to_json_text(row.metadata), int(row.split)


def _known_documents(session: Session, corpus_id: int, among: Iterable[int]) -> list[int]:
    wanted = list(among)
    found = session.scalars(
        select(DocumentRow.document_index).where(
            DocumentRow.corpus_id == corpus_id, DocumentRow.document_index.between(min(wanted), max(wanted))
        )
    )
    return sorted(set(found) & set(wanted))


def _columns(facts: ModelFacts | SaeFacts | CorpusFacts) -> dict[str, Any]:
    columns = {name: plain_json(value) for name, value in vars(facts).items() if name != "fingerprint"}
    if isinstance(facts, SaeFacts):
        columns["origin"] = facts.origin
    return columns


_Table = type[TokenizerRow] | type[ModelRow] | type[SaeRow] | type[CorpusRow]


def _register(store: Store, table: _Table, fingerprint: str, columns: dict[str, Any]) -> int:
    find = select(table.id).where(table.fingerprint == fingerprint)
    with store.read() as session:
        found = session.scalars(find).one_or_none()
    if found is not None:
        return found
    with store.write() as session:
        insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
        # Two processes may register the same thing at the same time; both then find the one row.
        statement = insert(table).values(fingerprint=fingerprint, created_at=utc_now(), **columns)
        session.execute(statement.on_conflict_do_nothing(index_elements=["fingerprint"]))
        return session.scalars(find).one()
