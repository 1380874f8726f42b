"""What an SAE's weights say by themselves: tokens, neighbours and maps of its directions."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "sae_directions",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("sae_id", BIG_KEY, nullable=False),
        sa.Column("model_id", BIG_KEY, nullable=False),
        sa.Column("job_id", BIG_KEY, nullable=True),
        sa.Column("n_features", sa.Integer(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("n_near_duplicates", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["sae_id"], ["saes.id"], name=op.f("fk_sae_directions_sae_id_saes"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["model_id"], ["models.id"], name=op.f("fk_sae_directions_model_id_models"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_sae_directions_job_id_jobs"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sae_directions")),
        sqlite_autoincrement=True,
    )
    for columns in (["sae_id", "model_id"], ["model_id"], ["job_id"]):
        op.create_index(op.f(f"ix_sae_directions_{'_'.join(columns)}"), "sae_directions", columns, unique=False)
    kinds = sa.Enum("decoder", "encoder", native_enum=False, create_constraint=True, length=16, name="kind")
    methods = sa.Enum("pca", "umap", native_enum=False, create_constraint=True, length=16, name="method")
    _of_directions("feature_logits", _index(), _blob("data"))
    _of_directions("feature_neighbours", sa.Column("kind", kinds, nullable=False), _index(), _blob("data"))
    shares = (sa.Column(name, sa.Double(), nullable=True) for name in ("explained_x", "explained_y"))
    _of_directions("sae_maps", sa.Column("method", methods, nullable=False), _blob("x"), _blob("y"), *shares)


def _index() -> sa.Column:
    return sa.Column("feature_index", sa.Integer(), autoincrement=False, nullable=False)


def _blob(name: str) -> sa.Column:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def _of_directions(table: str, *columns: sa.Column) -> None:
    """A table of rows that belong to one computation, keyed by it and by what else tells them apart."""
    keys = [column.name for column in columns if column.name in ("kind", "method", "feature_index")]
    op.create_table(
        table,
        sa.Column("directions_id", BIG_KEY, nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["directions_id"],
            ["sae_directions.id"],
            name=op.f(f"fk_{table}_directions_id_sae_directions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("directions_id", *keys, name=op.f(f"pk_{table}")),
    )
