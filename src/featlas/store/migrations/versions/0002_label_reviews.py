"""Who reviewed a label, which one it restores, and how many tokens stand at each position of each split."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("labels", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.add_column(sa.Column("reviewed_by", sa.Text(), nullable=True))
        batch.add_column(sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True))
        batch.add_column(sa.Column("restored_from", BIG_KEY, nullable=True))
        batch.create_foreign_key(
            op.f("fk_labels_restored_from_labels"), "labels", ["restored_from"], ["id"], ondelete="SET NULL"
        )
        batch.create_index(op.f("ix_labels_restored_from"), ["restored_from"], unique=False)
    with op.batch_alter_table("snapshots") as batch:
        batch.add_column(sa.Column("position_n_tokens", sa.JSON(), nullable=True))
