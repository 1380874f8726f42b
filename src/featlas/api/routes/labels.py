"""What people say of a feature: add a label, accept, reject or restore one, star it; nothing is ever overwritten."""

from typing import Annotated

from fastapi import APIRouter, Path

from featlas.api import schemas, shapes
from featlas.api.routes.features import RunRef
from featlas.api.surroundings import Here
from featlas.domain import FeatureState
from featlas.store import labels
from featlas.store.library import fetch_run_of_sae, fetch_sae

router = APIRouter(tags=["labels"])


@router.get("/saes/{sae}/features/{feature_index}/labels")
def list_labels(sae: str, feature_index: Annotated[int, Path(ge=0, lt=2**31)], here: Here) -> schemas.FeatureLabels:
    """Every label of a feature, newest first."""
    with here.store.read() as session:
        sae_id = fetch_sae(session, sae).id
        state = labels.fetch_state(session, sae_id, feature_index)
        return shapes.feature_labels(state, labels.list_labels(session, state))


@router.post("/saes/{sae}/features/{feature_index}/labels", status_code=201)
def add_label(
    sae: str, feature_index: int, new: schemas.NewLabel, here: Here, run: RunRef = None
) -> schemas.FeatureLabels:
    """Give a feature a label in a person's words, which is in force from now on."""
    with here.store.read() as session:
        of_sae = fetch_sae(session, sae)
        run_id = fetch_run_of_sae(session, of_sae, run).id if run is not None else of_sae.newest_run
    label = labels.HumanLabel(
        semantic_label=new.semantic_label,
        category_label=new.category_label or "",
        explanation=new.explanation or "",
        evidence_run_id=run_id,
    )
    return _with_history(
        here,
        labels.add_human_label(
            here.store, of_sae.id, feature_index, label, created_by=new.created_by, expected_rev=new.expected_rev
        ),
    )


@router.post("/labels/{label}/accept")
def accept(label: int, review: schemas.Review, here: Here) -> schemas.FeatureLabels:
    """Say that a label is right."""
    state = labels.accept_label(here.store, label, by=review.reviewed_by, expected_rev=review.expected_rev)
    return _with_history(here, state)


@router.post("/labels/{label}/reject")
def reject(label: int, review: schemas.Review, here: Here) -> schemas.FeatureLabels:
    """Say that a label is wrong; the best of the others takes its place."""
    state = labels.reject_label(
        here.store, label, review.reason or "", by=review.reviewed_by, expected_rev=review.expected_rev
    )
    return _with_history(here, state)


@router.post("/labels/{label}/restore")
def restore(label: int, review: schemas.Review, here: Here) -> schemas.FeatureLabels:
    """Bring an older label back into force, as a new entry of the history."""
    state = labels.restore_label(here.store, label, by=review.reviewed_by, expected_rev=review.expected_rev)
    return _with_history(here, state)


@router.post("/saes/{sae}/features/{feature_index}/favorite")
def mark_favorite(sae: str, feature_index: int, mark: schemas.FavoriteMark, here: Here) -> schemas.FeatureLabels:
    """Mark a feature as a favourite, or as one no longer; its labels stay as they are."""
    with here.store.read() as session:
        sae_id = fetch_sae(session, sae).id
    state = labels.set_favorite(here.store, sae_id, feature_index, mark.is_favorite, expected_rev=mark.expected_rev)
    return _with_history(here, state)


def _with_history(here: Here, state: FeatureState) -> schemas.FeatureLabels:
    with here.store.read() as session:
        return shapes.feature_labels(state, labels.list_labels(session, state))
