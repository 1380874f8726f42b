"""What a run is made of: tokenizers, models, SAEs, corpora and their documents, each known by its fingerprint."""

from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from featlas.domain import SaeOrigin
from featlas.store.tables.types import BigKey, Blob, Count, CreatedAt, Fingerprint, Id, Json, Row, Uid, checked


class TokenizerRow(Row):
    """A vocabulary as bytes: token `i` is `bytes[ends[i - 1]:ends[i]]`, so text is decoded without the tokenizer."""

    __tablename__ = "tokenizers"

    id: Mapped[Id]
    fingerprint: Mapped[Fingerprint]
    n_vocab: Mapped[Count]
    bytes: Mapped[Blob]
    ends: Mapped[Blob]
    special_ids: Mapped[list[int]] = mapped_column(JSON)
    created_at: Mapped[CreatedAt]


class ModelRow(Row):
    """A language model."""

    __tablename__ = "models"

    id: Mapped[Id]
    uid: Mapped[Uid]
    name: Mapped[str] = mapped_column(Text)
    revision: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[Fingerprint]
    tokenizer_id: Mapped[int] = mapped_column(BigKey, ForeignKey("tokenizers.id", ondelete="RESTRICT"), index=True)
    d_model: Mapped[int]
    n_layers: Mapped[int]
    config: Mapped[Json]
    created_at: Mapped[CreatedAt]


class SaeRow(Row):
    """A sparse autoencoder; labels and other opinions belong to it, not to a run."""

    __tablename__ = "saes"

    id: Mapped[Id]
    uid: Mapped[Uid]
    name: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[Fingerprint]
    origin: Mapped[SaeOrigin] = mapped_column(checked(SaeOrigin, "origin"))
    format: Mapped[str] = mapped_column(String(64))
    architecture: Mapped[str] = mapped_column(String(64))
    d_in: Mapped[int]
    d_sae: Mapped[int]
    d_out: Mapped[int]
    hook_point: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    revision: Mapped[str] = mapped_column(Text)
    config: Mapped[Json]
    created_at: Mapped[CreatedAt]


class CorpusRow(Row):
    """A tokenised set of documents."""

    __tablename__ = "corpora"

    id: Mapped[Id]
    uid: Mapped[Uid]
    name: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[Fingerprint]
    n_documents: Mapped[Count]
    n_tokens: Mapped[Count]
    created_at: Mapped[CreatedAt]


class DocumentRow(Row):
    """One document of a corpus, in the plan's order; its text is not kept here."""

    __tablename__ = "documents"
    __table_args__ = (CheckConstraint("split IN (0, 1)", name="split"),)

    corpus_id: Mapped[int] = mapped_column(BigKey, ForeignKey("corpora.id", ondelete="CASCADE"), primary_key=True)
    document_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    source: Mapped[str] = mapped_column(Text)
    external_id: Mapped[str] = mapped_column(Text)
    document_metadata: Mapped[dict[str, Any]] = mapped_column("metadata", JSON)
    split: Mapped[int] = mapped_column(SmallInteger)
