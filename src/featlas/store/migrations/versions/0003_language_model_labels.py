"""Why a label failed and from which answer it was read; steps of reviews; templates that share a wording."""

from contextlib import AbstractContextManager

import sqlalchemy as sa
from alembic import op
from alembic.operations import BatchOperations

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CAUSES = ["auth", "rate_limit", "refused", "bad_answer", "truncated", "timeout", "connection", "server", "request"]
ACTIONS = ["accept", "reject", "write", "skip"]


def _one_of(values: list[str], name: str) -> sa.Enum:
    return sa.Enum(*values, native_enum=False, create_constraint=True, length=16, name=name)


def upgrade() -> None:
    _labels()
    _templates()
    _review_actions()


def _labels() -> None:
    with op.batch_alter_table("labels", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("failure_cause", _one_of(CAUSES, "failure_cause"), nullable=True))
        batch.add_column(sa.Column("response_key", sa.String(length=64), nullable=True))
        batch.drop_index(op.f("ix_labels_labeling_job_id"))
        batch.create_index(
            op.f("ix_labels_labeling_job_id_feature_index"), ["labeling_job_id", "feature_index"], unique=False
        )


def _templates() -> None:
    with _never_reused("prompt_templates") as batch:
        batch.add_column(sa.Column("is_shipped", sa.Boolean(), server_default=sa.false(), nullable=False))
    with _never_reused("prompt_template_versions") as batch:
        batch.add_column(sa.Column("is_shipped", sa.Boolean(), server_default=sa.false(), nullable=False))
        batch.drop_constraint(op.f("uq_prompt_template_versions_content_hash"), type_="unique")
        batch.create_index(op.f("ix_prompt_template_versions_content_hash"), ["content_hash"], unique=False)


def _never_reused(table: str) -> AbstractContextManager[BatchOperations]:
    """SQLite makes the table anew, with ids that are not given again; PostgreSQL never gives one again."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    recreate = "always" if is_sqlite else "never"
    return op.batch_alter_table(table, recreate=recreate, table_kwargs={"sqlite_autoincrement": True})


def _review_actions() -> None:
    op.create_table(
        "review_actions",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("sae_id", BIG_KEY, nullable=False),
        sa.Column("feature_index", sa.Integer(), nullable=False),
        sa.Column("action", _one_of(ACTIONS, "action"), nullable=False),
        sa.Column("label_id", BIG_KEY, nullable=True),
        sa.Column("before", sa.JSON(), nullable=True),
        sa.Column("reviewer", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["sae_id"], ["saes.id"], name=op.f("fk_review_actions_sae_id_saes"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["label_id"], ["labels.id"], name=op.f("fk_review_actions_label_id_labels"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review_actions")),
        sa.UniqueConstraint("uid", name=op.f("uq_review_actions_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_review_actions_sae_id_reviewer_id"), "review_actions", ["sae_id", "reviewer", "id"], unique=False
    )
    op.create_index(op.f("ix_review_actions_label_id"), "review_actions", ["label_id"], unique=False)
