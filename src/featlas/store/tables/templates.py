"""What is asked of machines and what they answered: prompt and extraction templates, and the response cache."""

import datetime as dt
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from featlas.store.tables.types import (
    NEVER_REUSED,
    BigKey,
    Count,
    CreatedAt,
    Id,
    Json,
    JsonOrNone,
    Row,
    Uid,
    UtcDateTime,
    utc_now,
)


class PromptTemplateRow(Row):
    """A named prompt for labeling; its wording is in its versions."""

    __tablename__ = "prompt_templates"
    # The database itself refuses a second default, whoever writes at the same time.
    __table_args__: Any = (
        Index(
            "uq_prompt_templates_default",
            "is_default",
            unique=True,
            sqlite_where=text("is_default"),
            postgresql_where=text("is_default"),
        ),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    uid: Mapped[Uid]
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    # Whether it came with Featlas; a new version of Featlas may bring a new wording of these, of others never.
    is_shipped: Mapped[bool] = mapped_column(default=False, server_default=false())
    is_default: Mapped[bool] = mapped_column(default=False, server_default=false())
    is_favorite: Mapped[bool] = mapped_column(default=False, server_default=false())
    usage_count: Mapped[Count] = mapped_column(default=0, server_default="0")
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=utc_now, onupdate=utc_now)


class PromptTemplateVersionRow(Row):
    """One wording of a template, never changed; the one with the highest number is in force.

    Versions are a history: a template that goes back to an older wording gets a new row with the content of an old one.
    """

    __tablename__ = "prompt_template_versions"
    __table_args__: Any = (UniqueConstraint("template_id", "version"), NEVER_REUSED)

    id: Mapped[Id]
    template_id: Mapped[int] = mapped_column(BigKey, ForeignKey("prompt_templates.id", ondelete="CASCADE"))
    version: Mapped[int]
    content_hash: Mapped[str] = mapped_column(String(64), index=True)
    system_text: Mapped[str] = mapped_column(Text)
    user_text: Mapped[str] = mapped_column(Text)
    settings: Mapped[Json]
    # Whether it came with Featlas: a newer one may follow by itself; after a person's own, none does.
    is_shipped: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[CreatedAt]


class ExtractionTemplateRow(Row):
    """A named set of extraction options."""

    __tablename__ = "extraction_templates"

    id: Mapped[Id]
    uid: Mapped[Uid]
    name: Mapped[str] = mapped_column(String(255), unique=True)
    description: Mapped[str] = mapped_column(Text, default="", server_default="")
    spec: Mapped[Json]
    is_favorite: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[CreatedAt]
    updated_at: Mapped[dt.datetime] = mapped_column(UtcDateTime, default=utc_now, onupdate=utc_now)


class LlmResponseRow(Row):
    """An answer that was paid for once, found again by the hash of everything that was asked."""

    __tablename__ = "llm_responses"
    __table_args__ = (Index(None, "provider", "model", "created_at"),)

    cache_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    provider: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(Text)
    request: Mapped[JsonOrNone]
    response: Mapped[Json]
    n_tokens_in: Mapped[Count | None]
    n_tokens_out: Mapped[Count | None]
    cost_micro_usd: Mapped[Count | None]
    wall_s: Mapped[float | None]
    created_at: Mapped[CreatedAt]
