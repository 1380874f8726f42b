"""The features of a run by query: pages, all matches as ids, rows by id, columns as blocks, and facets."""

from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request, Response

from featlas.api import schemas, shapes
from featlas.api.blocks import MEDIA_TYPE, pack_block, tag_of
from featlas.api.problems import utf16_place
from featlas.api.surroundings import Here
from featlas.errors import InputError, NotFoundError
from featlas.store.columns import Columns
from featlas.store.facets import count_facets, count_without, take_apart
from featlas.store.label_state import read_states
from featlas.store.library import StoredSae, fetch_sae_and_run
from featlas.store.listing import Selection, select_features
from featlas.store.marked_contexts import read_strongest
from featlas.store.paging import DEFAULT_SORT, Cursor
from featlas.store.read import published_snapshot, read_features
from featlas.store.runs import Run

router = APIRouter(prefix="/saes/{sae}", tags=["features"])

RunRef = Annotated[str | None, Query(description="Number, name or start of the uid; the SAE's newest run without it.")]
QueryText = Annotated[str, Query(description="A filter, as in: -is:dead density:1e-4..1e-2", max_length=10_000)]
Sort = Annotated[str, Query(description="Column, descending with a dash: -max_activation", max_length=1000)]


@router.get("/features")
def features(  # a query string has as many parameters as it has
    sae: str,
    here: Here,
    run: RunRef = None,
    q: QueryText = "",
    sort: Sort = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: str | None = None,
) -> schemas.FeaturePage:
    """A page of the features that a query matches, most frequent first unless it says otherwise."""
    with here.store.read() as session:
        of_sae, of_run, snapshot_id, selection = _select(here, session, sae, run, q, sort)
        page = selection.page(limit, None if after is None else Cursor.parse(after))
        return schemas.FeaturePage(
            run=shapes.run_brief(of_run, of_sae),
            snapshot=snapshot_id,
            query=read_query(q, selection),
            n_matches=page.n_matches,
            n_features=of_run.n_features,
            items=_rows(session, of_sae, of_run, selection.columns, page.feature_index.tolist()),
            next=page.next.encode() if page.next else None,
        )


@router.post("/rows")
def rows(sae: str, asked: schemas.RowsRequest, here: Here, run: RunRef = None) -> schemas.FeatureRows:
    """Some features by index, in the order asked for."""
    with here.store.read() as session:
        of_sae, of_run = fetch_sae_and_run(session, sae, run)
        wrong = [index for index in asked.feature_indices if not 0 <= index < 2**31]
        if wrong:
            raise InputError(f"there is no feature {wrong[0]}; expected indices from 0")
        held = here.columns.load(session, published_snapshot(of_run)[0])
        return schemas.FeatureRows(items=_rows(session, of_sae, of_run, held, asked.feature_indices))


@router.get("/matches", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}})
def matches(  # a query string has as many parameters as it has
    sae: str,
    here: Here,
    run: RunRef = None,
    q: QueryText = "",
    sort: Sort = "",
    rows: Annotated[int, Query(ge=0, le=200, description="The first so many matches as rows, in the header.")] = 0,
) -> Response:
    """All matches in order, as one block: the column `feature_index`, and how the query was understood.

    The header's `rows` are of the same shape as the items of `/features`.
    """
    with here.store.read() as session:
        of_sae, of_run, snapshot_id, selection = _select(here, session, sae, run, q, sort)
        order = selection.order().astype("<u4")
        first = _rows(session, of_sae, of_run, selection.columns, order[:rows].tolist())
    header: dict[str, Any] = {
        "snapshot": snapshot_id,
        "run": of_run.id,
        "n_matches": len(order),
        "n_features": of_run.n_features,
        "query": read_query(q, selection).model_dump(mode="json"),
        "rows": [row.model_dump(mode="json") for row in first],
    }
    return Response(pack_block(header, {"feature_index": order}), media_type=MEDIA_TYPE)


@router.get("/columns", response_class=Response, responses={200: {"content": {MEDIA_TYPE: {}}}, 304: {}})
def columns(
    sae: str,
    here: Here,
    request: Request,
    names: Annotated[str, Query(description="Columns, separated by commas.", max_length=2000)],
    run: RunRef = None,
) -> Response:
    """Columns of a snapshot, one number per feature (null features last); they never change, so keep them."""
    with here.store.read() as session:
        _, of_run = fetch_sae_and_run(session, sae, run)
        snapshot_id, header = published_snapshot(of_run)
        tag = tag_of(here.store.url.database, of_run.uid, snapshot_id, names)
        cache = {"ETag": tag, "Cache-Control": "no-cache"}  # the run in the address may get a newer snapshot
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=cache)
        held = here.columns.load(session, snapshot_id)
    known = {"feature_index": np.arange(held.n_features, dtype="<u4"), "flags": held.flags, **held.facts}
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise NotFoundError(f"no column {', '.join(unknown) or '(none named)'}; expected some of {', '.join(known)}")
    block = {"snapshot": snapshot_id, "run": of_run.id, "n_features": of_run.n_features, "n_tokens": header.n_tokens}
    return Response(pack_block(block, {name: known[name] for name in wanted}), media_type=MEDIA_TYPE, headers=cache)


@router.get("/facets")
def facets(sae: str, here: Here, run: RunRef = None, q: QueryText = "") -> schemas.Facets:
    """How all matches spread over categories, sources, reviews and flags, and what each condition leaves out."""
    with here.store.read() as session:
        *_, selection = _select(here, session, sae, run, q)
        counts = count_facets(selection.matches, selection.columns)
        without = count_without(selection.query, selection.columns, selection.lookup)
    return schemas.Facets(
        n_matches=counts.n_matches,
        n_labeled=counts.n_labeled,
        categories=[schemas.CategoryCount(path=list(path), n=n) for path, n in counts.categories.items()],
        sources=counts.sources,
        reviews=counts.reviews,
        flags=counts.flags,
        without=without,
    )


def _select(
    here: Here, session, sae: str, run: str | None, q: str, sort: str = ""
) -> tuple[StoredSae, Run, int, Selection]:
    """What a query is asked of, the number of its published snapshot, and what it matches there."""
    of_sae, of_run = fetch_sae_and_run(session, sae, run)
    snapshot_id, _ = published_snapshot(of_run)
    return of_sae, of_run, snapshot_id, select_features(session, here.columns, snapshot_id, q, sort=sort)


def _rows(session, sae: StoredSae, run: Run, held: Columns, indices: list[int]) -> list[schemas.FeatureRow]:
    snapshot_id, _ = published_snapshot(run)
    if not indices:
        return []
    states = read_states(session, sae.id, indices)
    strongest = dict(read_strongest(session, run.id, snapshot_id, indices))
    return [
        shapes.feature_row(stats, states.get(stats.feature_index), strongest.get(stats.feature_index))
        for stats in read_features(session, run, indices, facts=held.facts, n_top_tokens=shapes.N_TOKENS_IN_ROW)
    ]


def read_query(text: str, selection: Selection) -> schemas.ReadQuery:
    """A query's text as it was understood, in parts."""
    parts = [
        schemas.QueryPart(
            text=text[part.span.start : part.span.end],
            start=utf16_place(text, part.span.start),
            end=utf16_place(text, part.span.end),
            without=part.without,
        )
        for part in take_apart(selection.query)
    ]
    sort = [f"{'-' * key.is_descending}{key.field}" for key in selection.query.sort or DEFAULT_SORT]
    return schemas.ReadQuery(text=text, parts=parts, sort=sort)
