"""One feature: everything its page shows in one answer, more examples by band, and documents around an example."""

from typing import Annotated

from fastapi import APIRouter, Query

from featlas.api import schemas, shapes
from featlas.api.markdown import write_markdown
from featlas.api.routes.features import RunRef
from featlas.api.surroundings import Here
from featlas.api.token_text import Tokens, mark_text
from featlas.domain import Split
from featlas.errors import InputError, NotFoundError
from featlas.store.documents import read_stretch
from featlas.store.feature_profile import fetch_profile
from featlas.store.labels import fetch_state, list_labels
from featlas.store.library import fetch_sae_and_run
from featlas.store.marked_contexts import read_marked
from featlas.store.read import fetch_stats, published_snapshot, read_example_bands

router = APIRouter(prefix="/saes/{sae}", tags=["feature"])

N_FIRST = 8
"""Examples per band that come with the page."""


@router.get("/features/{feature_index}")
def feature(sae: str, feature_index: int, here: Here, run: RunRef = None) -> schemas.Feature:
    """Everything of one feature: counts with denominators, intervals, shapes, tokens, examples and labels."""
    with here.store.read() as session:
        of_sae, of_run = fetch_sae_and_run(session, sae, run)
        snapshot_id, header = published_snapshot(of_run)
        stats = fetch_stats(session, of_run, feature_index, facts=here.columns.load(session, snapshot_id).facts)
        profile = fetch_profile(session, snapshot_id, feature_index)
        bands = read_example_bands(session, snapshot_id, feature_index)
        marked = read_marked(session, of_run.id, [(band, range(N_FIRST)) for band in bands])
        state = fetch_state(session, of_sae.id, feature_index)
        labels = shapes.feature_labels(state, list_labels(session, state))
    frequency = stats.intervals.get("activation_frequency")
    shown = [shapes.band_examples(band, found) for band, found in zip(bands, marked, strict=True)]
    return schemas.Feature(
        sae=shapes.sae_of(of_sae),
        run=shapes.run_brief(of_run, of_sae),
        snapshot=snapshot_id,
        feature_index=feature_index,
        flags=shapes.flag_names(stats.flags),
        duplicate_of=profile.duplicate_of,
        n_fires=stats.n_fires,
        n_tokens=stats.n_tokens,
        n_contexts_fired=stats.n_contexts_fired,
        n_contexts=header.n_contexts,
        n_documents_fired=profile.n_documents_fired,
        n_documents=header.n_documents,
        n_fires_excluded=stats.n_fires_excluded,
        max_excluded=profile.max_excluded,
        activation_frequency=stats.activation_frequency,
        context_frequency=stats.context_frequency,
        mean_activation=stats.mean_activation,
        std_activation=stats.std_activation,
        max_activation=stats.max_activation,
        intervals=shapes.intervals_of(stats.intervals),
        frequency_at_most=frequency.high if frequency is not None and stats.n_fires == 0 else None,
        histogram=shapes.histogram_of(stats),
        peak_histogram=shapes.peak_octaves(profile),
        position_profile=shapes.position_buckets(profile),
        top_tokens=shapes.top_tokens(stats),
        bands=shown,
        labels=labels,
        markdown=write_markdown(of_run, stats, labels.current, shown),
        cli=f"featlas feature {of_run.id} {feature_index}",
    )


@router.get("/features/{feature_index}/examples")
def examples(
    sae: str,
    feature_index: int,
    here: Here,
    band: Annotated[str, Query(description="top, octave:N, uniform, near_miss or non_firing")],
    run: RunRef = None,
    after: Annotated[int, Query(ge=0, description="Examples that are known already.")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> schemas.BandExamples:
    """More examples of one band, in order."""
    with here.store.read() as session:
        _, of_run = fetch_sae_and_run(session, sae, run)
        snapshot_id, _ = published_snapshot(of_run)
        stats = fetch_stats(session, of_run, feature_index, facts=here.columns.load(session, snapshot_id).facts)
        bands = {found.band: found for found in read_example_bands(session, snapshot_id, stats.feature_index)}
        if band not in bands:
            known = ", ".join(bands) or "none"
            raise NotFoundError(f"feature {feature_index} has no examples in band {band!r}; it has {known}")
        marked = read_marked(session, of_run.id, [(bands[band], range(after, after + limit))])
    return shapes.band_examples(bands[band], marked[0])


@router.get("/documents/{document}")
def document(
    sae: str,
    document: int,
    here: Here,
    feature: Annotated[int, Query(ge=0, description="Whose activations are shown.")],
    run: RunRef = None,
    first: Annotated[int, Query(ge=0, description="Offset of the first token in the document.")] = 0,
    n: Annotated[int, Query(ge=1, le=4096, description="Tokens to show.")] = 512,
) -> schemas.Document:
    """A stretch of a document as the run read it, with a feature's activations in it."""
    with here.store.read() as session:
        _, of_run = fetch_sae_and_run(session, sae, run)
        if first >= 2**31:
            raise InputError(f"no document has {first} tokens; expected a smaller offset")
        stretch = read_stretch(session, here.artifacts_path, of_run, document, feature, range(first, first + n))
    peak = int(stretch.positions[abs(stretch.values).argmax()]) if len(stretch.positions) else 0
    tokens = Tokens(stretch.text, stretch.ends, stretch.token_ids, stretch.positions, stretch.values, peak)
    return schemas.Document(
        document=document,
        source=stretch.source,
        external_id=stretch.external_id,
        metadata=stretch.metadata,
        split="label" if stretch.split is Split.LABEL else "score",
        first_token=stretch.first_token,
        n_tokens=len(stretch.token_ids),
        n_document_tokens=stretch.n_document_tokens,
        content=mark_text(tokens),
    )
