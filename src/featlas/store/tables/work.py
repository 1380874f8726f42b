"""Work in progress: the job row is the truth about a job, and its events say what happened to it."""

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from featlas.domain import JobState
from featlas.store.tables.types import (
    NEVER_REUSED,
    BigKey,
    CreatedAt,
    Id,
    Instant,
    InstantOrNone,
    Json,
    JsonList,
    JsonOrNone,
    Row,
    Uid,
    checked,
)


class JobRow(Row):
    """A request to compute something, who works on it (`lease_owner` until `lease_until`) and how far it is.

    `attempt` is a fencing token: it grows whenever the job is taken up again, and every write of a worker carries
    `WHERE id AND attempt AND lease_owner`. `rung_at` is when the broker was last told of it. `kind` has no
    CHECK because kinds are registered in code, not in the schema.
    """

    __tablename__ = "jobs"
    __table_args__: Any = (
        Index(None, "state", "queue", "id"),
        Index(None, "kind", "spec_hash"),
        CheckConstraint("attempt >= 0", name="attempt"),
        NEVER_REUSED,
    )

    id: Mapped[Id]
    uid: Mapped[Uid]
    kind: Mapped[str] = mapped_column(String(32))
    spec: Mapped[Json]
    spec_hash: Mapped[str] = mapped_column(String(64))
    state: Mapped[JobState] = mapped_column(checked(JobState, "state"), default=JobState.QUEUED)
    queue: Mapped[str] = mapped_column(String(32), default="light", server_default="light")
    attempt: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_owner: Mapped[str | None] = mapped_column(String(255))
    lease_until: Mapped[InstantOrNone]
    heartbeat_at: Mapped[InstantOrNone]
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    pause_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    progress: Mapped[JsonOrNone]
    result: Mapped[JsonOrNone]
    error_class: Mapped[str | None] = mapped_column(String(255))
    error_message: Mapped[str | None] = mapped_column(Text)
    code_version: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[CreatedAt]
    queued_at: Mapped[CreatedAt]
    rung_at: Mapped[InstantOrNone]
    started_at: Mapped[InstantOrNone]
    finished_at: Mapped[InstantOrNone]


class JobEventRow(Row):
    """Something that happened to a job, numbered from 1 within the job."""

    __tablename__ = "job_events"

    job_id: Mapped[int] = mapped_column(BigKey, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[CreatedAt]
    kind: Mapped[str] = mapped_column(String(64))
    payload: Mapped[JsonOrNone]


class JobShardRow(Row):
    """A range of blocks that one process makes at a time, for a running job that shares its work.

    It is held as a job is: by `lease_owner` until `lease_until`, under an `attempt` that grows whenever it is taken.
    `plan_key` names the folder of the plan whose blocks these are.
    """

    __tablename__ = "job_shards"
    __table_args__: Any = (CheckConstraint("n_blocks > 0", name="n_blocks"),)

    job_id: Mapped[int] = mapped_column(BigKey, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    shard_index: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    plan_key: Mapped[str] = mapped_column(String(64))
    first_block: Mapped[int]
    n_blocks: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=0, server_default="0")
    lease_owner: Mapped[str | None] = mapped_column(String(255))
    lease_until: Mapped[InstantOrNone]
    finished_at: Mapped[InstantOrNone]


class WorkerRow(Row):
    """A process that waits for work: which queues, in which version, and when it was last seen alive."""

    __tablename__ = "workers"

    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    queues: Mapped[JsonList]
    code_version: Mapped[str] = mapped_column(String(255))
    started_at: Mapped[Instant]
    seen_at: Mapped[Instant]
