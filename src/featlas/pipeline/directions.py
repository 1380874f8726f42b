"""The job that asks an SAE's weights what they say by themselves: tokens, neighbours and a map, without any text.

    open → tokens → neighbours, by decoder and by encoder → map → publish

It is quick beside an extraction, so a job that was stopped begins anew; what was in force before stays so until then.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from featlas.domain import DirectionKind, HookPoint, MapMethod
from featlas.engine.directions import (
    DirectionMap,
    UnitDirections,
    find_neighbours,
    map_by_pca,
    map_by_umap,
    require_umap,
)
from featlas.engine.language_model import choose_device
from featlas.engine.logits import Readout, TokenEffects, find_readout, read_token_effects, why_no_logits
from featlas.engine.sae import SaeParams
from featlas.errors import ConflictError, InputError
from featlas.pipeline.opening import open_model, open_sae
from featlas.pipeline.registry import JobContext
from featlas.specs import DirectionsSpec, ExtractSpec, read_spec
from featlas.store.direction_writer import DirectionsFacts, DirectionsWriter
from featlas.store.directions import LOGITS, MAP, NEAR_DUPLICATE, RunWeights, fetch_weights
from featlas.store.runs import Run, fetch_run


@dataclass(frozen=True)
class _Work:
    """What every step needs: the request, where it writes, and its surroundings."""

    spec: DirectionsSpec
    writer: DirectionsWriter
    context: JobContext


def run_directions(spec: DirectionsSpec, context: JobContext) -> dict[str, Any]:
    """Compute what the weights of a run's SAE say, with the run's model, and publish it in place of what was there.

    Raises:
        NotFoundError: there is no such run, or its model's folder is gone.
        ConflictError: the SAE's files are not those that the run read.
        InputError: the SAE or the model cannot be opened, or UMAP is asked for and not installed.
        JobCancelled, JobPaused: asked to stop; what was in force before stays so.
    """
    if spec.map == MapMethod.UMAP:
        require_umap()
    with context.store.read() as session:
        run = fetch_run(session, spec.run)
        weights = fetch_weights(session, run)
    asked = read_spec(ExtractSpec, run.spec)
    sae = _open_sae(asked, run, weights, context)
    reasons: dict[str, str] = {}
    readout = _open_readout(asked, run, weights, sae, context)
    if isinstance(readout, str):
        reasons[LOGITS] = readout
    facts = DirectionsFacts(weights.sae_id, weights.model_id, context.job_id, sae.d_sae, _options(spec))
    work = _Work(spec, DirectionsWriter(context.store, facts, context.guard), context)
    decoder = UnitDirections.of(sae.W_dec)
    if isinstance(readout, Readout):
        _write_tokens(work, readout, decoder)
    del readout  # the unembedding is the largest thing in memory
    n_near = {str(DirectionKind.DECODER): _write_neighbours(work, DirectionKind.DECODER, decoder)}
    explained = _write_maps(work, decoder)
    if explained is None:
        reasons[MAP] = "its features do not have two different directions"
    encoder = UnitDirections.of(sae.W_enc.T)
    n_near[str(DirectionKind.ENCODER)] = _write_neighbours(work, DirectionKind.ENCODER, encoder)
    context.stop.check()
    work.writer.publish(reasons, n_near)
    return {
        "run": run.id,
        "name": run.name,
        "n_features": sae.d_sae,
        "n_without_direction": int(decoder.is_zero.sum()),
        "n_near_duplicates": n_near,
        "explained_variance": explained,
        "reasons": reasons,
    }


def _options(spec: DirectionsSpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude={"run"})


def _open_sae(asked: ExtractSpec, run: Run, weights: RunWeights, context: JobContext) -> SaeParams:
    context.progress.phase("opening the SAE", None)
    params = open_sae(asked).params
    if params.fingerprint() != weights.sae_fingerprint:
        raise ConflictError(
            f"the SAE in {asked.sae} is not the one that run {run.name!r} read: its weights have changed since;"
            " extract again, or bring the old files back"
        )
    return params.to(choose_device(context.device))


def _open_readout(
    asked: ExtractSpec, run: Run, weights: RunWeights, sae: SaeParams, context: JobContext
) -> Readout | str:
    """What turns directions into effects on tokens, or the reason why there is no such thing."""
    reason = why_no_logits(HookPoint.parse(run.hook_point), sae.d_out, weights.d_model)
    if reason is not None:
        return reason
    context.progress.phase("loading the model", None)
    model = open_model(asked, context.cache_path, context.device, context.threads)
    if model.fingerprint != weights.model_fingerprint:
        return (
            f"the model in {asked.model} is not the one that run {run.name!r} read: its files, or the version of"
            " transformers, have changed since"
        )
    try:
        return find_readout(model.model, weights.n_vocab)
    except InputError as error:
        return str(error)


def _write_tokens(work: _Work, readout: Readout, decoder: UnitDirections) -> None:
    progress = work.context.progress
    progress.phase("reading tokens off the directions", len(decoder), "features")
    found: Iterator[TokenEffects] = read_token_effects(readout, decoder, work.spec.n_tokens)
    for part in found:
        work.context.stop.check()
        token_ids = np.concatenate([part.promoted, part.suppressed], axis=1)
        effects = np.concatenate([part.promoted_effect, part.suppressed_effect], axis=1)
        has_direction = ~decoder.is_zero[part.first : part.first + len(token_ids)]
        work.writer.add_logits(part.first, token_ids, effects, has_direction)
        progress.advance(len(token_ids))


def _write_neighbours(work: _Work, kind: DirectionKind, directions: UnitDirections) -> int:
    """Find and write the neighbours; how many features have one that points the same way."""
    progress, n_near = work.context.progress, 0
    progress.phase(f"finding neighbours by {kind}", len(directions), "features")
    for part in find_neighbours(directions, work.spec.n_neighbours):
        work.context.stop.check()
        n = len(part.feature_index)
        has_direction = ~directions.is_zero[part.first : part.first + n]
        work.writer.add_neighbours(kind, part.first, part.feature_index, part.cosine, has_direction)
        n_near += int((part.cosine[has_direction, :1] >= NEAR_DUPLICATE).sum())
        progress.advance(n)
    return n_near


def _write_maps(work: _Work, decoder: UnitDirections) -> tuple[float, float] | None:
    """Draw and write the maps; the shares of variance of the principal components, None where there is no map."""
    work.context.progress.phase("drawing the map", None)
    by_pca = map_by_pca(decoder)
    if by_pca is None:
        return None
    _add_map(work, MapMethod.PCA, by_pca)
    if work.spec.map == MapMethod.UMAP:
        work.context.stop.check()
        by_umap = map_by_umap(decoder)
        if by_umap is not None:
            _add_map(work, MapMethod.UMAP, by_umap)
    return by_pca.explained_variance


def _add_map(work: _Work, method: MapMethod, found: DirectionMap) -> None:
    work.writer.add_map(method, found.places, found.explained_variance)
