"""What an SAE's weights say by themselves: the tokens and neighbours of a feature, and the map of all."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from numpy.typing import NDArray

from featlas.api import shapes
from featlas.api.blocks import MEDIA_TYPE, pack_block, tag_of
from featlas.api.direction_schemas import DirectionToken, FeatureLogits, FeatureNeighbours, NearFeature
from featlas.api.routes.features import RunRef
from featlas.api.surroundings import Here
from featlas.domain import DirectionKind, FeatureFlag, FeatureState, MapMethod
from featlas.store.directions import NearFeature as Near
from featlas.store.directions import RatedToken, fetch_directions, fetch_logits, fetch_map, fetch_neighbours
from featlas.store.label_state import read_states
from featlas.store.library import fetch_sae_and_run
from featlas.store.read import published_snapshot

router = APIRouter(prefix="/saes/{sae}", tags=["directions"])


@router.get("/features/{feature_index}/logits")
def logits(sae: str, feature_index: int, here: Here, run: RunRef = None) -> FeatureLogits:
    """The tokens that a feature promotes and suppresses, from the weights alone; 404 until a job computed them."""
    with here.store.read() as session:
        _, of_run = fetch_sae_and_run(session, sae, run)
        found = fetch_logits(session, of_run, fetch_directions(session, of_run), feature_index)
    return FeatureLogits(
        feature_index=feature_index,
        reason=found.reason,
        promoted=None if found.reason else _tokens(found.promoted),
        suppressed=None if found.reason else _tokens(found.suppressed),
    )


@router.get("/features/{feature_index}/neighbours")
def neighbours(
    sae: str,
    feature_index: int,
    here: Here,
    kind: Annotated[DirectionKind, Query(description="Whose directions are compared.")] = DirectionKind.DECODER,
    run: RunRef = None,
) -> FeatureNeighbours:
    """The features whose directions are nearest to one's, with their labels; 404 until a job computed them."""
    with here.store.read() as session:
        of_sae, of_run = fetch_sae_and_run(session, sae, run)
        found = fetch_neighbours(session, of_run, fetch_directions(session, of_run), kind, feature_index)
        near = [item.feature_index for item in found.items]
        states = read_states(session, of_sae.id, near) if near else {}
        flags = here.columns.load(session, published_snapshot(of_run)[0]).flags
    items = None if found.reason else _near(found.items, states, flags)
    return FeatureNeighbours(feature_index=feature_index, kind=kind, reason=found.reason, items=items)


@router.get("/map", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}, 304: {}})
def direction_map(
    sae: str,
    here: Here,
    request: Request,
    method: Annotated[MapMethod, Query(description="How features are laid out.")] = MapMethod.PCA,
    run: RunRef = None,
) -> Response:
    """A place in the plane for each feature, as one block: the columns `x` and `y`, NaN where there is no direction.

    The header's `explained_variance` are the shares of the variance that the two axes show; null where they show none.
    """
    with here.store.read() as session:
        of_sae, of_run = fetch_sae_and_run(session, sae, run)
        directions = fetch_directions(session, of_run)
        tag = tag_of(here.store.url.database, of_sae.uid, directions.id, method)
        cache = {"ETag": tag, "Cache-Control": "no-cache"}  # another computation may take its place
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=cache)
        found = fetch_map(session, directions, method)
    header: dict[str, Any] = {
        "method": found.method,
        "n_features": directions.n_features,
        "explained_variance": found.explained_variance,
    }
    return Response(pack_block(header, {"x": found.x, "y": found.y}), media_type=MEDIA_TYPE, headers=cache)


def _tokens(found: Sequence[RatedToken]) -> list[DirectionToken]:
    return [DirectionToken(**vars(token)) for token in found]


def _near(items: Sequence[Near], states: Mapping[int, FeatureState], flags: NDArray) -> list[NearFeature]:
    return [
        NearFeature(
            feature_index=item.feature_index,
            cosine=item.cosine,
            is_near_duplicate=item.is_near_duplicate,
            label=None if item.feature_index not in states else shapes.label_brief(states[item.feature_index]),
            flags=shapes.flag_names(FeatureFlag(int(flags[item.feature_index]))),
        )
        for item in items
    ]
