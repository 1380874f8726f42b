"""Which features go together: the stored partners of a feature, and the matrix of chosen ones."""

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query
from numpy.typing import NDArray

from featlas.api import correlation_schemas as schemas
from featlas.api import shapes
from featlas.api.correlation_matrix import ReadMatrix, parse_features, read_matrix
from featlas.api.routes.features import RunRef
from featlas.api.surroundings import Here
from featlas.domain import FeatureFlag, Measure, Unit
from featlas.errors import InputError
from featlas.store.correlations import fetch_correlation, fetch_partners
from featlas.store.label_state import read_states
from featlas.store.library import fetch_sae_and_run
from featlas.store.read import published_snapshot
from featlas.store.runs import Run

router = APIRouter(prefix="/saes/{sae}", tags=["correlations"])

MOST_FEATURES = 50
MOST_EVENTS = 4_000_000
"""What a request may read of the block files: a second's work."""

UnitName = Annotated[Unit, Query(description="What is counted: tokens, or contexts.")]


@router.get("/features/{feature_index}/partners")
def partners(
    sae: str,
    feature_index: int,
    here: Here,
    measure: Annotated[Measure, Query(description="By which measure.")] = Measure.PEARSON,
    unit: UnitName = Unit.TOKEN,
    run: RunRef = None,
) -> schemas.Partners:
    """The features that go together with one most surely, as the newest correlation job of the run found them."""
    with here.store.read() as session:
        of_sae, of_run = fetch_sae_and_run(session, sae, run)
        correlation = fetch_correlation(session, of_run, unit)
        found = fetch_partners(session, correlation, feature_index, measure)
        indices = found.partner.tolist()
        states = read_states(session, of_sae.id, indices)
        flags = here.columns.load(session, published_snapshot(of_run)[0]).flags
    numbers = zip(indices, found.value.tolist(), found.low.tolist(), found.n_both.tolist(), strict=True)
    return schemas.Partners(
        run=of_run.id,
        feature_index=feature_index,
        measure=measure,
        unit=unit,
        n_units=correlation.facts.n_units,
        is_estimate=correlation.is_estimate,
        share=correlation.share,
        computed_at=correlation.published_at,
        reason=found.reason,
        near_duplicate_of=found.near_duplicate_of,
        items=[
            schemas.Partner(
                feature_index=index,
                value=value,
                low=low,
                n_both=n_both,
                label=shapes.label_brief(states[index]) if index in states else None,
                flags=shapes.flag_names(FeatureFlag(int(flags[index]))),
            )
            for index, value, low, n_both in numbers
        ],
    )


@router.get("/correlation")
def matrix(  # a query string has as many parameters as it has
    sae: str,
    here: Here,
    features: Annotated[str, Query(description="Indices separated by commas, at most 50.", max_length=1000)],
    measure: Annotated[Measure, Query(description="By which measure.")] = Measure.PEARSON,
    unit: UnitName = Unit.TOKEN,
    run: RunRef = None,
) -> schemas.CorrelationMatrix:
    """The square matrix of some features, read from the run's files."""
    chosen = parse_features(features)
    if len(chosen) > MOST_FEATURES:
        raise InputError(f"{len(chosen)} features are named; expected at most {MOST_FEATURES}")
    with here.store.read() as session:
        _, of_run = fetch_sae_and_run(session, sae, run)
    return matrix_of(of_run, read_matrix(of_run, here.artifacts_path, chosen, measure, unit, most_events=MOST_EVENTS))


def matrix_of(run: Run, found: ReadMatrix) -> schemas.CorrelationMatrix:
    """A matrix as it is sent and printed."""
    among_both = found.matrix.among_both
    return schemas.CorrelationMatrix(
        run=run.id,
        measure=found.measure,
        unit=found.unit,
        n_units=found.n_units,
        is_estimate=found.share < 1,
        share=found.share,
        features=found.features,
        value=_or_null(found.matrix.value),
        n_both=found.matrix.n_both.tolist(),
        reasons=list(found.matrix.reasons),
        among_both=None if among_both is None else _or_null(among_both),
    )


def _or_null(matrix: NDArray[np.float64]) -> list[list[float | None]]:
    return [[None if np.isnan(number) else number for number in row] for row in matrix.tolist()]
