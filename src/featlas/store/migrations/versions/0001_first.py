"""The first schema: everything that a run, its features, their labels and the jobs behind them need."""

import sqlalchemy as sa
from alembic import op

from featlas.store.search_index import create_search_index

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
CIRCULAR_KEY = "fk_runs_current_snapshot_id_snapshots"


def upgrade() -> None:
    _corpora()
    _extraction_templates()
    _jobs()
    _llm_responses()
    _prompt_templates()
    _saes()
    _tokenizers()
    _documents()
    _job_events()
    _models()
    _prompt_template_versions()
    _runs()
    _contexts()
    _labels()
    _snapshots()
    _feature_activations()
    _feature_columns()
    _feature_state()
    _feature_tokens()
    _features()
    _scores()
    _current_snapshot()
    _storage()
    create_search_index(op.get_bind())


def _corpora() -> None:
    op.create_table(
        "corpora",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("n_documents", sa.BigInteger(), nullable=False),
        sa.Column("n_tokens", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_corpora")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_corpora_fingerprint")),
        sa.UniqueConstraint("uid", name=op.f("uq_corpora_uid")),
    )


def _extraction_templates() -> None:
    op.create_table(
        "extraction_templates",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("is_favorite", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_extraction_templates")),
        sa.UniqueConstraint("name", name=op.f("uq_extraction_templates_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_extraction_templates_uid")),
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "running",
                "paused",
                "succeeded",
                "failed",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("queue", sa.String(length=32), server_default="default", nullable=False),
        sa.Column("attempt", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_owner", sa.String(length=255), nullable=True),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("pause_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("progress", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_class", sa.String(length=255), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("code_version", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("attempt >= 0", name=op.f("ck_jobs_attempt")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("uid", name=op.f("uq_jobs_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_jobs_kind_spec_hash"), "jobs", ["kind", "spec_hash"], unique=False)
    op.create_index(op.f("ix_jobs_state_queue_id"), "jobs", ["state", "queue", "id"], unique=False)


def _llm_responses() -> None:
    op.create_table(
        "llm_responses",
        sa.Column("cache_key", sa.String(length=64), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("request", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("response", sa.JSON(), nullable=False),
        sa.Column("n_tokens_in", sa.BigInteger(), nullable=True),
        sa.Column("n_tokens_out", sa.BigInteger(), nullable=True),
        sa.Column("cost_micro_usd", sa.BigInteger(), nullable=True),
        sa.Column("wall_s", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("cache_key", name=op.f("pk_llm_responses")),
    )


def _prompt_templates() -> None:
    op.create_table(
        "prompt_templates",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("is_default", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("is_favorite", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("usage_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt_templates")),
        sa.UniqueConstraint("name", name=op.f("uq_prompt_templates_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_prompt_templates_uid")),
    )
    op.create_index(
        "uq_prompt_templates_default",
        "prompt_templates",
        ["is_default"],
        unique=True,
        sqlite_where=sa.text("is_default"),
        postgresql_where=sa.text("is_default"),
    )


def _saes() -> None:
    op.create_table(
        "saes",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column(
            "origin",
            sa.Enum("trained", "external", name="origin", native_enum=False, create_constraint=True, length=16),
            nullable=False,
        ),
        sa.Column("format", sa.String(length=64), nullable=False),
        sa.Column("architecture", sa.String(length=64), nullable=False),
        sa.Column("d_in", sa.Integer(), nullable=False),
        sa.Column("d_sae", sa.Integer(), nullable=False),
        sa.Column("d_out", sa.Integer(), nullable=False),
        sa.Column("hook_point", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saes")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_saes_fingerprint")),
        sa.UniqueConstraint("uid", name=op.f("uq_saes_uid")),
    )


def _tokenizers() -> None:
    op.create_table(
        "tokenizers",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("n_vocab", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.LargeBinary(), nullable=False),
        sa.Column("ends", sa.LargeBinary(), nullable=False),
        sa.Column("special_ids", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokenizers")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_tokenizers_fingerprint")),
    )


def _documents() -> None:
    op.create_table(
        "documents",
        sa.Column("corpus_id", BIG_KEY, nullable=False),
        sa.Column("document_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("split", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint("split IN (0, 1)", name=op.f("ck_documents_split")),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_documents_corpus_id_corpora"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("corpus_id", "document_index", name=op.f("pk_documents")),
    )


def _job_events() -> None:
    op.create_table(
        "job_events",
        sa.Column("job_id", BIG_KEY, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_events_job_id_jobs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "seq", name=op.f("pk_job_events")),
    )


def _models() -> None:
    op.create_table(
        "models",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("tokenizer_id", BIG_KEY, nullable=False),
        sa.Column("d_model", sa.Integer(), nullable=False),
        sa.Column("n_layers", sa.Integer(), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tokenizer_id"], ["tokenizers.id"], name=op.f("fk_models_tokenizer_id_tokenizers"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_models")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_models_fingerprint")),
        sa.UniqueConstraint("uid", name=op.f("uq_models_uid")),
    )
    op.create_index(op.f("ix_models_tokenizer_id"), "models", ["tokenizer_id"], unique=False)


def _prompt_template_versions() -> None:
    op.create_table(
        "prompt_template_versions",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("template_id", BIG_KEY, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("system_text", sa.Text(), nullable=False),
        sa.Column("user_text", sa.Text(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["template_id"],
            ["prompt_templates.id"],
            name=op.f("fk_prompt_template_versions_template_id_prompt_templates"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompt_template_versions")),
        sa.UniqueConstraint("content_hash", name=op.f("uq_prompt_template_versions_content_hash")),
        sa.UniqueConstraint("template_id", "version", name=op.f("uq_prompt_template_versions_template_id_version")),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("model_id", BIG_KEY, nullable=False),
        sa.Column("sae_id", BIG_KEY, nullable=False),
        sa.Column("corpus_id", BIG_KEY, nullable=False),
        sa.Column("extraction_job_id", BIG_KEY, nullable=True),
        sa.Column("spec", sa.JSON(), nullable=False),
        sa.Column("spec_hash", sa.String(length=64), nullable=False),
        sa.Column("recipe", sa.JSON(), nullable=False),
        sa.Column("self_check", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("forced", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("pending", "finished", name="state", native_enum=False, create_constraint=True, length=16),
            nullable=False,
        ),
        sa.Column("current_snapshot_id", BIG_KEY, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["corpus_id"], ["corpora.id"], name=op.f("fk_runs_corpus_id_corpora"), ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["extraction_job_id"], ["jobs.id"], name=op.f("fk_runs_extraction_job_id_jobs"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["model_id"], ["models.id"], name=op.f("fk_runs_model_id_models"), ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["sae_id"], ["saes.id"], name=op.f("fk_runs_sae_id_saes"), ondelete="RESTRICT"),
        *_current_snapshot_in_place(),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("name", name=op.f("uq_runs_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_runs_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_runs_corpus_id"), "runs", ["corpus_id"], unique=False)
    op.create_index(op.f("ix_runs_current_snapshot_id"), "runs", ["current_snapshot_id"], unique=False)
    op.create_index(op.f("ix_runs_extraction_job_id"), "runs", ["extraction_job_id"], unique=False)
    op.create_index(op.f("ix_runs_model_id"), "runs", ["model_id"], unique=False)
    op.create_index(op.f("ix_runs_sae_id_state_finished_at"), "runs", ["sae_id", "state", "finished_at"], unique=False)
    op.create_index(op.f("ix_runs_spec_hash"), "runs", ["spec_hash"], unique=False)


def _contexts() -> None:
    op.create_table(
        "contexts",
        sa.Column("run_id", BIG_KEY, nullable=False),
        sa.Column("context_index", BIG_KEY, autoincrement=False, nullable=False),
        sa.Column("document_index", sa.Integer(), nullable=False),
        sa.Column("token_offset", sa.Integer(), nullable=False),
        sa.Column("n_tokens", sa.Integer(), nullable=False),
        sa.Column("token_ids", sa.LargeBinary(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("ends", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_contexts_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run_id", "context_index", name=op.f("pk_contexts")),
    )


def _labels() -> None:
    op.create_table(
        "labels",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("uid", sa.String(length=36), nullable=False),
        sa.Column("sae_id", BIG_KEY, nullable=False),
        sa.Column("feature_index", sa.Integer(), nullable=False),
        sa.Column("evidence_run_id", BIG_KEY, nullable=True),
        sa.Column("labeling_job_id", BIG_KEY, nullable=True),
        sa.Column("semantic_label", sa.Text(), nullable=True),
        sa.Column("category_label", sa.Text(), nullable=True),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("confidence", sa.Double(), nullable=True),
        sa.Column(
            "status",
            sa.Enum(
                "labeled", "abstained", "failed", name="status", native_enum=False, create_constraint=True, length=16
            ),
            nullable=False,
        ),
        sa.Column(
            "source",
            sa.Enum(
                "human",
                "llm",
                "rule",
                "lexical",
                "imported",
                name="source",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("template_version_id", BIG_KEY, nullable=True),
        sa.Column("evidence_hash", sa.String(length=64), nullable=True),
        sa.Column("evidence", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("n_tokens_in", sa.BigInteger(), nullable=True),
        sa.Column("n_tokens_out", sa.BigInteger(), nullable=True),
        sa.Column("cost_micro_usd", sa.BigInteger(), nullable=True),
        sa.Column("wall_s", sa.Double(), nullable=True),
        sa.Column(
            "review_state",
            sa.Enum(
                "unreviewed",
                "accepted",
                "rejected",
                name="review_state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("reject_reason", sa.Text(), nullable=True),
        sa.Column("lint", sa.JSON(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("superseded_by", BIG_KEY, nullable=True),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_labels_confidence")),
        sa.ForeignKeyConstraint(
            ["evidence_run_id"], ["runs.id"], name=op.f("fk_labels_evidence_run_id_runs"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["labeling_job_id"], ["jobs.id"], name=op.f("fk_labels_labeling_job_id_jobs"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["sae_id"], ["saes.id"], name=op.f("fk_labels_sae_id_saes"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["superseded_by"], ["labels.id"], name=op.f("fk_labels_superseded_by_labels"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["template_version_id"],
            ["prompt_template_versions.id"],
            name=op.f("fk_labels_template_version_id_prompt_template_versions"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_labels")),
        sa.UniqueConstraint("uid", name=op.f("uq_labels_uid")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_labels_evidence_run_id"), "labels", ["evidence_run_id"], unique=False)
    op.create_index(op.f("ix_labels_labeling_job_id"), "labels", ["labeling_job_id"], unique=False)
    op.create_index(op.f("ix_labels_sae_id_feature_index"), "labels", ["sae_id", "feature_index"], unique=False)
    op.create_index(op.f("ix_labels_superseded_by"), "labels", ["superseded_by"], unique=False)
    op.create_index(op.f("ix_labels_template_version_id"), "labels", ["template_version_id"], unique=False)


def _snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("run_id", BIG_KEY, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("is_partial", sa.Boolean(), nullable=False),
        sa.Column("n_features", sa.BigInteger(), nullable=False),
        sa.Column("n_documents", sa.BigInteger(), nullable=False),
        sa.Column("n_contexts", sa.BigInteger(), nullable=False),
        sa.Column("n_positions", sa.BigInteger(), nullable=False),
        sa.Column("n_tokens", sa.BigInteger(), nullable=False),
        sa.Column("n_excluded", sa.JSON(), nullable=False),
        sa.Column("quality", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("histogram_edges", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_snapshots_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.UniqueConstraint("run_id", "seq", name=op.f("uq_snapshots_run_id_seq")),
        sqlite_autoincrement=True,
    )


def _feature_activations() -> None:
    op.create_table(
        "feature_activations",
        sa.Column("snapshot_id", BIG_KEY, nullable=False),
        sa.Column("feature_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("band", sa.String(length=16), nullable=False),
        sa.Column("n_in_band", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"],
            ["snapshots.id"],
            name=op.f("fk_feature_activations_snapshot_id_snapshots"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "feature_index", "band", name=op.f("pk_feature_activations")),
    )


def _feature_columns() -> None:
    op.create_table(
        "feature_columns",
        sa.Column("snapshot_id", BIG_KEY, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("dtype", sa.String(length=8), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_feature_columns_snapshot_id_snapshots"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "name", name=op.f("pk_feature_columns")),
    )


def _feature_state() -> None:
    op.create_table(
        "feature_state",
        sa.Column("sae_id", BIG_KEY, nullable=False),
        sa.Column("feature_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("semantic_label", sa.Text(), nullable=True),
        sa.Column("category_label", sa.Text(), nullable=True),
        sa.Column("search_text", sa.Text(), server_default="", nullable=False),
        sa.Column(
            "label_source",
            sa.Enum(
                "human",
                "llm",
                "rule",
                "lexical",
                "imported",
                name="label_source",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=True,
        ),
        sa.Column("current_label_id", BIG_KEY, nullable=True),
        sa.Column("labeling_job_id", BIG_KEY, nullable=True),
        sa.Column(
            "review_state",
            sa.Enum(
                "unreviewed",
                "accepted",
                "rejected",
                name="review_state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("lint_flags", sa.JSON(), nullable=False),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("is_favorite", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("rev", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["current_label_id"],
            ["labels.id"],
            name=op.f("fk_feature_state_current_label_id_labels"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["labeling_job_id"], ["jobs.id"], name=op.f("fk_feature_state_labeling_job_id_jobs"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["sae_id"], ["saes.id"], name=op.f("fk_feature_state_sae_id_saes"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sae_id", "feature_index", name=op.f("pk_feature_state")),
    )
    op.create_index(op.f("ix_feature_state_current_label_id"), "feature_state", ["current_label_id"], unique=False)
    op.create_index(op.f("ix_feature_state_labeling_job_id"), "feature_state", ["labeling_job_id"], unique=False)
    op.create_index(op.f("ix_feature_state_sae_id_rev"), "feature_state", ["sae_id", "rev"], unique=False)


def _feature_tokens() -> None:
    op.create_table(
        "feature_tokens",
        sa.Column("snapshot_id", BIG_KEY, nullable=False),
        sa.Column("feature_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("token_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n_fires", sa.BigInteger(), nullable=False),
        sa.Column("n_fires_score_split", sa.BigInteger(), nullable=False),
        sa.Column("sum", sa.Double(), nullable=False),
        sa.Column("max", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_feature_tokens_snapshot_id_snapshots"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "feature_index", "token_id", name=op.f("pk_feature_tokens")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        op.f("ix_feature_tokens_snapshot_id_token_id"), "feature_tokens", ["snapshot_id", "token_id"], unique=False
    )


def _features() -> None:
    op.create_table(
        "features",
        sa.Column("snapshot_id", BIG_KEY, nullable=False),
        sa.Column("feature_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n_fires", sa.BigInteger(), nullable=False),
        sa.Column("n_contexts_fired", sa.BigInteger(), nullable=False),
        sa.Column("n_documents_fired", sa.BigInteger(), nullable=False),
        sa.Column("sum", sa.Double(), nullable=False),
        sa.Column("sum_sq", sa.Double(), nullable=False),
        sa.Column("max", sa.Double(), nullable=True),
        sa.Column("n_fires_excluded", sa.BigInteger(), nullable=False),
        sa.Column("max_excluded", sa.Double(), nullable=True),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("duplicate_of", sa.Integer(), nullable=True),
        sa.Column("groups", sa.LargeBinary(), nullable=False),
        sa.Column("histogram", sa.LargeBinary(), nullable=False),
        sa.Column("peak_histogram", sa.LargeBinary(), nullable=False),
        sa.Column("position_profile", sa.LargeBinary(), nullable=False),
        sa.Column("intervals", sa.JSON(), nullable=False),
        sa.Column("top_tokens", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["snapshot_id"], ["snapshots.id"], name=op.f("fk_features_snapshot_id_snapshots"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("snapshot_id", "feature_index", name=op.f("pk_features")),
    )


def _scores() -> None:
    op.create_table(
        "scores",
        sa.Column("id", BIG_KEY, autoincrement=True, nullable=False),
        sa.Column("label_id", BIG_KEY, nullable=False),
        sa.Column("run_id", BIG_KEY, nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("is_control", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("n_failed", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("judge", sa.JSON(), nullable=False),
        sa.Column("questions", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("job_id", BIG_KEY, nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_scores_job_id_jobs"), ondelete="SET NULL"),
        sa.ForeignKeyConstraint(
            ["label_id"], ["labels.id"], name=op.f("fk_scores_label_id_labels"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_scores_run_id_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
    )
    op.create_index(op.f("ix_scores_job_id"), "scores", ["job_id"], unique=False)
    op.create_index(op.f("ix_scores_label_id"), "scores", ["label_id"], unique=False)
    op.create_index(op.f("ix_scores_run_id"), "scores", ["run_id"], unique=False)


def _current_snapshot() -> None:
    # Runs and snapshots point at each other. SQLite takes a key to a table that is yet to come; PostgreSQL adds it now.
    if op.get_bind().dialect.name == "postgresql":
        op.create_foreign_key(CIRCULAR_KEY, "runs", "snapshots", ["current_snapshot_id"], ["id"], ondelete="SET NULL")


def _current_snapshot_in_place() -> list[sa.ForeignKeyConstraint]:
    if op.get_bind().dialect.name == "postgresql":
        return []
    return [sa.ForeignKeyConstraint(["current_snapshot_id"], ["snapshots.id"], name=CIRCULAR_KEY, ondelete="SET NULL")]


def _storage() -> None:
    # One feature's number is cut out of a column's blob, which PostgreSQL does without reading it all if uncompressed.
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE feature_columns ALTER COLUMN data SET STORAGE EXTERNAL")
