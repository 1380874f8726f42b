"""What a team needs: when a job was rung for, its shards, who works, and who may come in."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("jobs", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("rung_at", sa.DateTime(timezone=True), nullable=True))
        batch.alter_column("queue", existing_type=sa.String(length=32), server_default="light", existing_nullable=False)
    # Jobs wait in the queue of their kind from now on; the two kinds there were give their queues their names.
    op.execute("UPDATE jobs SET queue = kind WHERE queue = 'default'")
    _shards()
    _workers()
    _access_tokens()
    _indexes()


def _shards() -> None:
    op.create_table(
        "job_shards",
        sa.Column("job_id", BIG_KEY, nullable=False),
        sa.Column("shard_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("plan_key", sa.String(length=64), nullable=False),
        sa.Column("first_block", sa.Integer(), nullable=False),
        sa.Column("n_blocks", sa.Integer(), nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.String(length=255), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("n_blocks > 0", name=op.f("ck_job_shards_n_blocks")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_shards_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "shard_index", name=op.f("pk_job_shards")),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("queues", sa.JSON(), nullable=False),
        sa.Column("code_version", sa.String(length=255), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("owner", name=op.f("pk_workers")),
    )


def _access_tokens() -> None:
    kinds = sa.Enum("token", "login", "session", native_enum=False, create_constraint=True, length=16, name="kind")
    scopes = sa.Enum("read", "write", native_enum=False, create_constraint=True, length=16, name="scope")
    op.create_table(
        "access_tokens",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("kind", kinds, nullable=False),
        sa.Column("scope", scopes, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_access_tokens_hash")),
        sa.UniqueConstraint("uid", name=op.f("uq_access_tokens_uid")),
        sqlite_autoincrement=True,
    )


def _indexes() -> None:
    # The newest answers of a model tell what the next labeling will cost; each answer is kilobytes.
    op.create_index(
        op.f("ix_llm_responses_provider_model_created_at"),
        "llm_responses",
        ["provider", "model", "created_at"],
        unique=False,
    )
