"""From what the store holds to what the API answers: one function per shape, nothing computed that the store knows."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from featlas.api import schemas
from featlas.api.token_text import Tokens, mark_text, snippet_window
from featlas.core.histogram import OCTAVES
from featlas.core.positions import BUCKET_START, N_BUCKETS
from featlas.domain import ExampleBand, FeatureFlag, FeatureState, FeatureStats, Interval, Label, to_usd
from featlas.store.feature_profile import FeatureProfile
from featlas.store.job_views import Job, JobEvent
from featlas.store.library import StateCounts, StoredSae
from featlas.store.marked_contexts import MarkedContext
from featlas.store.review_queue import is_waiting
from featlas.store.reviews import JournalEntry, Reviewed
from featlas.store.runs import Run

N_TOKENS_IN_ROW = 3
DENSITY_EDGES = np.logspace(-7, 0, 15)
_FLAG_NAMES = {flag: (flag.name or "").lower() for flag in FeatureFlag}


def flag_names(flags: FeatureFlag) -> list[str]:
    """`dead`, `dense`, … in the order of their bits."""
    return [name for flag, name in _FLAG_NAMES.items() if flag in flags]


def sae_of(sae: StoredSae) -> schemas.Sae:
    """An SAE."""
    return schemas.Sae(**vars(sae))


def run_brief(run: Run, sae: StoredSae) -> schemas.RunBrief:
    """A run in a few words."""
    return schemas.RunBrief(**_brief(run, sae))


def run_of(
    run: Run, sae: StoredSae, job: Job | None, states: StateCounts, density: Sequence[int] | None
) -> schemas.Run:
    """A run with its health."""
    header = run.header
    quality = dict(header.quality) if header and header.quality is not None else None
    return schemas.Run(
        **_brief(run, sae),
        snapshot=run.snapshot_id,
        is_forced=run.is_forced,
        n_documents=header.n_documents if header else None,
        n_contexts=header.n_contexts if header else None,
        n_positions=header.n_positions if header else None,
        n_excluded=dict(header.n_excluded) if header else None,
        n_alive=_count(quality, "n_alive"),
        n_dead=_count(quality, "n_dead"),
        n_dense=_count(quality, "n_dense"),
        n_sink_only=_count(quality, "n_sink_only"),
        quality=quality,
        self_check=dict(run.self_check) if run.self_check is not None else None,
        density_histogram=None if density is None else list(density),
        labels=schemas.LabelCounts(n_features=run.n_features, **vars(states)),
        job=run.job_id,
        job_state=job.state if job else None,
        job_progress=job.progress if job else None,
        spec=dict(run.spec),
        recipe=dict(run.recipe),
        created_at=run.created_at,
        finished_at=run.finished_at,
    )


def density_histogram(activation_frequency: NDArray) -> list[int]:
    """Features by frequency, in the bins of DENSITY_EDGES; silent ones are in none."""
    firing = activation_frequency[activation_frequency > 0]
    return np.histogram(np.clip(firing, DENSITY_EDGES[0], DENSITY_EDGES[-1]), DENSITY_EDGES)[0].tolist()


def feature_row(stats: FeatureStats, state: FeatureState | None, strongest: MarkedContext | None) -> schemas.FeatureRow:
    """A feature in a list."""
    return schemas.FeatureRow(
        feature_index=stats.feature_index,
        label=None if state is None else label_brief(state),
        flags=flag_names(stats.flags),
        n_fires=stats.n_fires,
        activation_frequency=stats.activation_frequency,
        mean_activation=stats.mean_activation,
        std_activation=stats.std_activation,
        max_activation=stats.max_activation,
        score=None if state is None else state.score,
        is_favorite=state is not None and state.is_favorite,
        histogram=_histogram(stats),
        top_tokens=[
            schemas.TokenChip(token=token.token, p_token_given_fire=token.p_token_given_fire)
            for token in stats.top_tokens[:N_TOKENS_IN_ROW]
        ],
        snippet=None if strongest is None else mark_text(tokens_of(strongest), snippet_window(strongest.peak)),
    )


def label_brief(state: FeatureState) -> schemas.LabelBrief | None:
    """The label in force, if there is one."""
    if not state.semantic_label or state.label_source is None:
        return None
    return schemas.LabelBrief(
        semantic_label=state.semantic_label,
        category_label=state.category_label,
        source=state.label_source,
        review_state=state.review_state,
    )


def label_of(label: Label) -> schemas.Label:
    """A label with its provenance."""
    return schemas.Label(
        id=label.id,
        uid=label.uid,
        feature_index=label.feature_index,
        semantic_label=label.semantic_label,
        category_label=label.category_label,
        explanation=label.explanation,
        confidence=label.confidence,
        status=label.status,
        source=label.source,
        provider=label.provider,
        model=label.model,
        evidence_run=label.evidence_run_id,
        evidence=dict(label.evidence) if label.evidence is not None else None,
        job=label.labeling_job_id,
        template_version_id=label.template_version_id,
        failure_cause=label.failure_cause,
        is_stale=label.is_stale,
        has_answer=label.response_key is not None,
        n_tokens_in=label.n_tokens_in,
        n_tokens_out=label.n_tokens_out,
        usd=to_usd(label.cost_micro_usd),
        seconds=label.wall_s,
        review_state=label.review_state,
        reject_reason=label.reject_reason,
        lint=list(label.lint),
        created_by=label.created_by,
        created_at=label.created_at,
        is_current=label.is_current,
    )


def feature_labels(state: FeatureState, labels: Sequence[Label]) -> schemas.FeatureLabels:
    """Every label of a feature and the one in force."""
    items = [label_of(label) for label in labels]
    return schemas.FeatureLabels(
        feature_index=state.feature_index,
        rev=state.rev,
        current=next((item for item in items if item.is_current), None),
        is_favorite=state.is_favorite,
        items=items,
    )


def feature_state(state: FeatureState) -> schemas.FeatureState:
    """What is in force for a feature."""
    return schemas.FeatureState(
        feature_index=state.feature_index,
        semantic_label=state.semantic_label,
        category_label=state.category_label,
        source=state.label_source,
        label_id=state.current_label_id,
        review_state=state.review_state,
        lint=list(state.lint_flags),
        score=state.score,
        is_favorite=state.is_favorite,
        rev=state.rev,
        is_waiting=is_waiting(state),
    )


def journal_entry(entry: JournalEntry) -> schemas.JournalEntry:
    """A step of a reviewer."""
    return schemas.JournalEntry(**{name: getattr(entry, name) for name in schemas.JournalEntry.model_fields})


def reviewed(found: Reviewed, labels: Sequence[Label]) -> schemas.Reviewed:
    """A step, and the feature after it."""
    return schemas.Reviewed(
        action=journal_entry(found.action),
        state=feature_state(found.state),
        labels=feature_labels(found.state, labels),
    )


def band_examples(band: ExampleBand, marked: Sequence[MarkedContext]) -> schemas.BandExamples:
    """Examples of one band."""
    low, high = band_bounds(band.band)
    return schemas.BandExamples(
        band=band.band,
        low=low,
        high=high,
        n_in_band=band.n_in_band,
        n_published=len(band.context_index),
        items=[_example(found) for found in marked],
    )


def band_bounds(band: str) -> tuple[float | None, float | None]:
    """The peaks that belong to a band, [low, high); None where it has no bounds."""
    kind, _, octave = band.partition(":")
    if kind != "octave":
        return None, None
    return _octave_bounds(int(octave))


def tokens_of(marked: MarkedContext) -> Tokens:
    """An example's tokens as text is cut from them."""
    context = marked.context
    return Tokens(context.text, context.ends, context.token_ids, marked.positions, marked.values, marked.peak)


def top_tokens(stats: FeatureStats) -> list[schemas.TopToken]:
    """The token table."""
    return [schemas.TopToken(**vars(token)) for token in stats.top_tokens]


def intervals_of(intervals: Mapping[str, Interval | None]) -> dict[str, schemas.Interval | None]:
    """Intervals by the name of the number."""
    return {
        name: None if ends is None else schemas.Interval(low=ends.low, high=ends.high)
        for name, ends in intervals.items()
    }


def peak_octaves(profile: FeatureProfile) -> list[schemas.PeakOctave]:
    """Contexts by octave of their peak, from the first to the last that has any."""
    counts = profile.peak_histogram.reshape(-1, len(OCTAVES)).sum(axis=0)
    filled = np.flatnonzero(counts)
    shown = range(int(filled[0]), int(filled[-1]) + 1) if len(filled) else range(0)
    octaves = []
    for column in shown:
        low, high = _octave_bounds(int(OCTAVES[column]))
        octaves.append(schemas.PeakOctave(low=low, high=high, n_contexts=int(counts[column])))
    return octaves


def position_buckets(profile: FeatureProfile) -> list[schemas.PositionBucket]:
    """Firings by position bucket, up to the last bucket that has positions."""
    fires = profile.position_profile.reshape(-1, N_BUCKETS).sum(axis=0)
    kept = profile.position_n_tokens
    n_tokens = None if kept is None else kept.reshape(-1, N_BUCKETS).sum(axis=0)
    last = int(np.flatnonzero(fires if n_tokens is None else n_tokens).max(initial=-1))
    stops = [*BUCKET_START[1:].tolist(), 2 * int(BUCKET_START[-1])]
    return [
        schemas.PositionBucket(
            first=int(BUCKET_START[at]),
            last=stops[at] - 1,
            n_fires=int(fires[at]),
            n_tokens=None if n_tokens is None else int(n_tokens[at]),
        )
        for at in range(last + 1)
    ]


def job_of(job: Job) -> schemas.Job:
    """A job."""
    run = (job.result or {}).get("run")
    names = schemas.Job.model_fields.keys() - {"run"}
    return schemas.Job(**{name: getattr(job, name) for name in names}, run=run)


def job_event(event: JobEvent) -> schemas.JobEvent:
    """Something that happened to a job."""
    return schemas.JobEvent(seq=event.seq, at=event.at, kind=event.kind, payload=event.payload)


def histogram_of(stats: FeatureStats) -> schemas.Histogram:
    """Events by value."""
    return _histogram(stats)


def _histogram(stats: FeatureStats) -> schemas.Histogram:
    return schemas.Histogram(edges=list(stats.histogram.edges), counts=list(stats.histogram.counts))


def _example(marked: MarkedContext) -> schemas.Example:
    return schemas.Example(
        band=marked.band,
        place=marked.place,
        document=marked.context.document,
        context=marked.context.context,
        token_offset=marked.context.token_offset,
        split="label" if marked.split == 0 else "score",
        max_activation=marked.max_activation,
        n_similar=marked.n_similar,
        content=mark_text(tokens_of(marked)),
    )


def _octave_bounds(octave: int) -> tuple[float, float]:
    low = 0.0 if octave == OCTAVES[0] else math.ldexp(1.0, octave)
    return low, float(np.finfo(np.float32).max) if octave == OCTAVES[-1] else math.ldexp(1.0, octave + 1)


def _brief(run: Run, sae: StoredSae) -> dict:
    return {
        "id": run.id,
        "uid": run.uid,
        "name": run.name,
        "state": run.state,
        "is_partial": run.header.is_partial if run.header else None,
        "sae": sae.uid,
        "sae_name": run.sae,
        "model": run.model,
        "hook_point": run.hook_point,
        "corpus": run.corpus,
        "n_features": run.n_features,
        "n_tokens": run.header.n_tokens if run.header else None,
    }


def _count(quality: Mapping[str, float | int | None] | None, name: str) -> int | None:
    value = None if quality is None else quality.get(name)
    return None if value is None else int(value)
