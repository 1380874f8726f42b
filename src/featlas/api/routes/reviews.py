"""The review queue: what waits, a person's steps through it, and taking them back."""

from typing import Annotated, assert_never

from fastapi import APIRouter, Depends, Query

from featlas.api import schemas, shapes
from featlas.api.routes.features import QueryText, RunRef, read_query
from featlas.api.surroundings import Here
from featlas.api.turns import in_turn
from featlas.domain import QueueOrder
from featlas.errors import NotFoundError
from featlas.store import reviews
from featlas.store.categories import list_categories
from featlas.store.labels import HumanLabel, fetch_label, list_labels
from featlas.store.library import fetch_run_of_sae, fetch_sae
from featlas.store.review_queue import list_queue
from featlas.store.reviews import Reviewed

router = APIRouter(prefix="/saes/{sae}", tags=["reviews"])

MOST_IDS = 500
"""Features that a queue names at once; who has worked through them asks again."""

Reviewer = Annotated[str, Query(max_length=200, description="Whose steps are meant; everybody's without it.")]


@router.get("/queue", dependencies=[Depends(in_turn, scope="function")])
def queue(  # a query string has as many parameters as it has
    sae: str,
    here: Here,
    run: RunRef = None,
    q: QueryText = "",
    order: QueueOrder = QueueOrder.DOUBT,
    reviewer: Annotated[
        str, Query(max_length=200, description="Whose skips are left out and whose progress is told; nobody's without.")
    ] = "",
    limit: Annotated[int, Query(ge=1, le=MOST_IDS)] = MOST_IDS,
) -> schemas.ReviewQueue:
    """The features that match a query and wait for a review, those in most doubt first.

    Left out is what the reviewer skipped in the last twelve hours. Features without a label wait only where the query
    asks for them, as `is:unlabeled` does.
    """
    with here.store.read() as session:
        of_sae = fetch_sae(session, sae)
        of_run = fetch_run_of_sae(session, of_sae, run)
        found = list_queue(session, here.columns, of_run, q, reviewer=reviewer, order=order)
        progress = reviews.fetch_progress(session, of_sae.id, reviewer) if reviewer else None
    return schemas.ReviewQueue(
        run=shapes.run_brief(of_run, of_sae),
        snapshot=found.snapshot_id,
        query=read_query(q, found.selection),
        order=order,
        n_matches=found.selection.n_matches,
        n_waiting=len(found.ids),
        n_skipped=found.n_skipped,
        ids=found.ids[:limit].tolist(),
        progress=None if progress is None else schemas.ReviewProgress(**vars(progress)),
    )


@router.post("/features/{feature_index}/reviews", status_code=201)
def review(sae: str, feature_index: int, step: schemas.NewReview, here: Here, run: RunRef = None) -> schemas.Reviewed:
    """Accept or reject one of a feature's labels, write another, or skip the feature; `undo` takes it back.

    `run` is what a written label rests on, by default the SAE's newest finished run.
    """
    with here.store.read() as session:
        of_sae = fetch_sae(session, sae)
        run_id = fetch_run_of_sae(session, of_sae, run).id if run is not None else of_sae.newest_run
        if isinstance(step, schemas.AcceptLabel | schemas.RejectLabel):
            label = fetch_label(session, step.label_id)
            if (label.sae_id, label.feature_index) != (of_sae.id, feature_index):
                raise NotFoundError(f"label {step.label_id} is not one of feature {feature_index}; look at its labels")
    return _with_history(here, _take(here, of_sae.id, feature_index, step, run_id))


@router.post("/reviews/undo")
def undo(sae: str, whose: schemas.Undo, here: Here) -> schemas.Reviewed:
    """Take back the reviewer's newest step that stands; asked again, the one before it.

    409 where none is left, or where somebody has judged the label since: with `leave_overtaken` that stays, and the
    step before it is taken back. A written label is taken back by rejecting it, so that it stays in the history.
    """
    with here.store.read() as session:
        sae_id = fetch_sae(session, sae).id
    return _with_history(
        here, reviews.undo_last(here.store, sae_id, whose.reviewer, leave_overtaken=whose.leave_overtaken)
    )


@router.get("/reviews")
def steps(
    sae: str,
    here: Here,
    reviewer: Reviewer = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[int | None, Query(ge=0, lt=2**63, description="The `next` of the page before.")] = None,
) -> schemas.JournalEntries:
    """Steps through the queue, newest first; undone ones too."""
    with here.store.read() as session:
        sae_id = fetch_sae(session, sae).id
        found = reviews.list_actions(session, sae_id, reviewer or None, limit=limit + 1, before_id=after)
    shown = found[:limit]
    return schemas.JournalEntries(
        items=[shapes.journal_entry(entry) for entry in shown], next=str(shown[-1].id) if len(found) > limit else None
    )


@router.get("/categories")
def categories(
    sae: str,
    here: Here,
    prefix: Annotated[str, Query(max_length=500, description="Start of the path, as in: Language > Sy")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.Categories:
    """Steps of the category tree of an SAE's labels in force, with the features at or below each, commonest first."""
    with here.store.read() as session:
        found = list_categories(session, fetch_sae(session, sae).id, prefix, limit=limit)
    return schemas.Categories(items=[schemas.CategoryCount(path=list(path), n=n) for path, n in found.items()])


def _take(here: Here, sae_id: int, feature_index: int, step: schemas.NewReview, run_id: int | None) -> Reviewed:
    who = {"reviewer": step.reviewer, "expected_rev": step.expected_rev}
    match step:
        case schemas.AcceptLabel():
            return reviews.record_accept(here.store, step.label_id, **who)
        case schemas.RejectLabel():
            return reviews.record_reject(here.store, step.label_id, step.reason or "", **who)
        case schemas.WriteLabel():
            said = HumanLabel(step.semantic_label, step.category_label or "", step.explanation or "", run_id)
            return reviews.record_label(here.store, sae_id, feature_index, said, **who)
        case schemas.SkipFeature():
            return reviews.record_skip(here.store, sae_id, feature_index, **who)
        case _:
            assert_never(step)


def _with_history(here: Here, found: Reviewed) -> schemas.Reviewed:
    state = found.state
    with here.store.read() as session:
        return shapes.reviewed(found, list_labels(session, state))
