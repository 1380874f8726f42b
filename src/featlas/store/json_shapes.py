"""The shapes in which runs and features are printed, served and exported as JSON; the names are a contract."""

from dataclasses import asdict
from typing import Any

from featlas.domain import (
    Example,
    FeatureFlag,
    FeatureState,
    FeatureStats,
    Label,
    PromptTemplate,
    PromptWording,
    TokenStat,
    to_usd,
)
from featlas.store.reviews import JournalEntry
from featlas.store.runs import Run
from featlas.store.template_versions import TemplateVersion


def run_to_json(run: Run) -> dict[str, Any]:
    """One run; the counts are null until a snapshot is published."""
    header = run.header
    return {
        "run": run.id,
        "uid": run.uid,
        "name": run.name,
        "state": str(run.state),
        "is_partial": header.is_partial if header else None,
        "model": run.model,
        "sae": run.sae,
        "hook_point": run.hook_point,
        "corpus": run.corpus,
        "n_features": run.n_features,
        "n_documents": header.n_documents if header else None,
        "n_contexts": header.n_contexts if header else None,
        "n_positions": header.n_positions if header else None,
        "n_tokens": header.n_tokens if header else None,
        "n_excluded": dict(header.n_excluded) if header else None,
        "quality": dict(header.quality) if header and header.quality is not None else None,
        "is_forced": run.is_forced,
        "job": run.job_id,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def feature_to_json(feature: FeatureStats, state: FeatureState | None = None) -> dict[str, Any]:
    """One feature; numbers that do not exist are null, `examples` is there only if they were read.

    `state` is what people and labelers said of it; `label` is null where no label is in force.
    """
    shape = {
        "feature_index": feature.feature_index,
        "label": _label_in_force(state),
        "n_fires": feature.n_fires,
        "n_tokens": feature.n_tokens,
        "activation_frequency": feature.activation_frequency,
        "n_contexts_fired": feature.n_contexts_fired,
        "context_frequency": feature.context_frequency,
        "mean_activation": feature.mean_activation,
        "std_activation": feature.std_activation,
        "max_activation": feature.max_activation,
        "histogram": {"edges": list(feature.histogram.edges), "counts": list(feature.histogram.counts)},
        "top_tokens": [_token_to_json(token) for token in feature.top_tokens],
        "is_dead": bool(feature.flags & FeatureFlag.DEAD),
        "is_dense": bool(feature.flags & FeatureFlag.DENSE),
        "is_sink_only": bool(feature.flags & FeatureFlag.SINK_ONLY),
        "is_null": bool(feature.flags & FeatureFlag.NULL),
        "duplicate_of": feature.duplicate_of,
        "n_fires_excluded": feature.n_fires_excluded,
        "intervals": {
            name: None if ends is None else {"low": ends.low, "high": ends.high}
            for name, ends in feature.intervals.items()
        },
    }
    if feature.examples is not None:
        shape["examples"] = [_example_to_json(example) for example in feature.examples]
    return shape


def _label_in_force(state: FeatureState | None) -> dict[str, Any] | None:
    if state is None or state.current_label_id is None:
        return None
    return {
        "semantic_label": state.semantic_label,
        "category_label": state.category_label,
        "source": state.label_source and str(state.label_source),
        "review_state": str(state.review_state),
    }


def state_to_json(state: FeatureState) -> dict[str, Any]:
    """What is in force for a feature; `rev` is what a change of it may expect."""
    return {
        "feature_index": state.feature_index,
        "semantic_label": state.semantic_label,
        "category_label": state.category_label,
        "label_source": state.label_source and str(state.label_source),
        "current_label_id": state.current_label_id,
        "labeling_job_id": state.labeling_job_id,
        "review_state": str(state.review_state),
        "lint": list(state.lint_flags),
        "score": state.score,
        "is_favorite": state.is_favorite,
        "rev": state.rev,
    }


def label_to_json(label: Label) -> dict[str, Any]:
    """One label of a feature's history."""
    return {
        "label": label.id,
        "uid": label.uid,
        "feature_index": label.feature_index,
        "semantic_label": label.semantic_label,
        "category_label": label.category_label,
        "explanation": label.explanation,
        "confidence": label.confidence,
        "status": str(label.status),
        "source": str(label.source),
        "provider": label.provider,
        "model": label.model,
        "is_current": label.is_current,
        "review_state": str(label.review_state),
        "reject_reason": label.reject_reason,
        "reviewed_by": label.reviewed_by,
        "reviewed_at": label.reviewed_at.isoformat() if label.reviewed_at else None,
        "lint": list(label.lint),
        "evidence_run": label.evidence_run_id,
        "evidence_hash": label.evidence_hash,
        "evidence": label.evidence,
        "job": label.labeling_job_id,
        "template_version": label.template_version_id,
        "is_stale": label.is_stale,
        "failure_cause": label.failure_cause and str(label.failure_cause),
        "n_tokens_in": label.n_tokens_in,
        "n_tokens_out": label.n_tokens_out,
        "usd": to_usd(label.cost_micro_usd),
        "seconds": label.wall_s,
        "restored_from": label.restored_from,
        "superseded_by": label.superseded_by,
        "created_by": label.created_by,
        "created_at": label.created_at.isoformat(),
    }


def template_to_json(template: PromptTemplate) -> dict[str, Any]:
    """A prompt template in one of its versions."""
    return {
        "template": template.id,
        "uid": template.uid,
        "name": template.name,
        "description": template.description,
        "is_shipped": template.is_shipped,
        "is_default": template.is_default,
        "is_favorite": template.is_favorite,
        "usage_count": template.usage_count,
        "version_id": template.version_id,
        "version": template.version,
        "n_versions": template.n_versions,
        **_wording_to_json(template.wording),
        "created_at": template.created_at.isoformat(),
        "updated_at": template.updated_at.isoformat(),
    }


def template_version_to_json(version: TemplateVersion) -> dict[str, Any]:
    """One entry of a template's history."""
    return {
        "version_id": version.id,
        "version": version.version,
        "is_stale": version.is_stale,
        "n_labels": version.n_labels,
        **_wording_to_json(version.wording),
        "created_at": version.created_at.isoformat(),
    }


def _wording_to_json(wording: PromptWording) -> dict[str, Any]:
    return {
        "content_hash": wording.content_hash,
        "system": wording.system_text,
        "user": wording.user_text,
        "evidence": asdict(wording.evidence),
    }


def journal_entry_to_json(entry: JournalEntry) -> dict[str, Any]:
    """One step through the review queue."""
    return {
        "step": entry.id,
        "action": str(entry.action),
        "feature_index": entry.feature_index,
        "label": entry.label_id,
        "semantic_label": entry.semantic_label,
        "reviewer": entry.reviewer,
        "created_at": entry.created_at.isoformat(),
        "undone_at": entry.undone_at.isoformat() if entry.undone_at else None,
    }


def _token_to_json(token: TokenStat) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "token": token.token,
        "n_fires": token.n_fires,
        "n_occurrences": token.n_occurrences,
        "mean_activation": token.mean_activation,
        "max_activation": token.max_activation,
        "p_fire_given_token": token.p_fire_given_token,
        "p_token_given_fire": token.p_token_given_fire,
    }


def _example_to_json(example: Example) -> dict[str, Any]:
    return {
        "band": example.band,
        "document": example.document,
        "context": example.context,
        "token_offset": example.token_offset,
        "text": example.text,
        "token_spans": [list(span) for span in example.token_spans],
        "peak": example.peak,
        "positions": list(example.positions),
        "values": list(example.values),
        "max_activation": example.max_activation,
        "n_similar": example.n_similar,
        "split": example.split.name.lower(),
    }
