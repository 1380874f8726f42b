"""Which features go together: the partners of every feature of a run."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MEASURES = ["cosine", "pearson", "spearman", "jaccard"]


def _one_of(values: list[str], name: str) -> sa.Enum:
    return sa.Enum(*values, native_enum=False, create_constraint=True, length=16, name=name)


def upgrade() -> None:
    op.create_table(
        "correlations",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("run_id", BIG_KEY, nullable=False),
        sa.Column("unit", _one_of(["token", "context"], "unit"), nullable=False),
        sa.Column("n_units", sa.BigInteger(), nullable=False),
        sa.Column("n_blocks", sa.Integer(), nullable=False),
        sa.Column("n_blocks_planned", sa.Integer(), nullable=False),
        sa.Column("n_partners", sa.Integer(), nullable=False),
        sa.Column("job_id", BIG_KEY, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_correlations_run_id_runs"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_correlations_job_id_jobs"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_correlations")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_correlations_run_id_unit_published_at"),
        "correlations",
        ["run_id", "unit", "published_at"],
        unique=False,
    )
    op.create_index(op.f("ix_correlations_job_id"), "correlations", ["job_id"], unique=False)
    op.create_table(
        "feature_partners",
        sa.Column("correlation_id", BIG_KEY, nullable=False),
        sa.Column("measure", _one_of(MEASURES, "measure"), nullable=False),
        sa.Column("feature_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reason", _one_of(["dead", "constant"], "reason"), nullable=True),
        sa.Column("near_duplicate_of", sa.Integer(), nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["correlation_id"],
            ["correlations.id"],
            name=op.f("fk_feature_partners_correlation_id_correlations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("correlation_id", "measure", "feature_index", name=op.f("pk_feature_partners")),
    )
