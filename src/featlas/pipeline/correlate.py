"""The correlation job: which features of a finished run go together, from its block files, for all pairs.

    read (each event gets its rank) → correlate (tile by tile, kept on disk) → publish

A finished tile is a file, so a resumed job goes on behind it; what is published comes into force in one step.
"""

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from featlas.domain import Measure, NoMeasure, PartnerLists, Unit
from featlas.engine.memory import give_back_memory
from featlas.engine.threads import use_threads
from featlas.pipeline.column_spool import spool_columns
from featlas.pipeline.correlate_pairs import PairCorrelator, Partners, cut_tiles
from featlas.pipeline.registry import JobContext
from featlas.specs import CorrelateSpec
from featlas.store.correlations import CorrelationFacts, CorrelationWriter
from featlas.store.run_blocks import RunBlocks, open_run_blocks
from featlas.store.runs import Run, fetch_run
from featlas.store.tensor_files import open_tensors, save_tensors

FORMAT = 1
_ARRAYS = ("indptr", "partner", "value", "low", "n_both", "near_duplicate_of")
_REASONS = (None, *NoMeasure)


def run_correlation(spec: CorrelateSpec, context: JobContext) -> dict[str, Any]:
    """Find the partners of every feature of a run, by every measure, and put them in force.

    Raises:
        NotFoundError: there is no such run.
        ConflictError: the run is not finished, or its artifact folder is gone.
        ExternalError: the disk refuses.
        JobCancelled, JobPaused: asked to stop; tiles that are done are kept for a resume.
    """
    use_threads(context.threads)
    context.progress.phase("looking for blocks", None)
    with context.store.read() as session:
        run = fetch_run(session, spec.run)
    blocks = open_run_blocks(run, context.artifacts_path, verify=True)
    folder = _choose_folder(spec, blocks, context.job_id)
    try:
        n_units = _correlate(spec, blocks, folder, context)
        counts = _publish(spec, run, blocks, n_units, folder, context)
    finally:
        shutil.rmtree(folder / "columns", ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    share = {"n_blocks": len(blocks.blocks), "n_blocks_planned": blocks.n_planned, "is_estimate": blocks.share < 1}
    return {"run": run.id, "name": run.name, "unit": spec.unit, "n_units": n_units, **share, **counts}


def _choose_folder(spec: CorrelateSpec, blocks: RunBlocks, job_id: int | None) -> Path:
    """Where the job keeps finished tiles, named by what they follow from; those that follow from else are removed.

    So a job that is resumed after blocks went away, or by a version that cuts other tiles, begins anew.
    """
    content = [FORMAT, spec.content_hash(), blocks.blocks, cut_tiles(blocks.n_features)]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]
    of_job = f"correlation-{job_id or 0:06d}-"
    for folder in blocks.folder.glob(f"{of_job}*"):
        if folder.name != of_job + key:
            shutil.rmtree(folder, ignore_errors=True)
    return blocks.folder / (of_job + key)


def _correlate(spec: CorrelateSpec, blocks: RunBlocks, folder: Path, context: JobContext) -> int:
    """Write the file of every tile that is not there yet; the number of units."""
    unit = Unit(spec.unit)
    tiles = cut_tiles(blocks.n_features)
    missing = [tile for tile in tiles if not _tile_path(folder, tile[0]).exists()]
    if not missing:
        return blocks.count_units(unit)
    spool = spool_columns(blocks, unit, folder / "columns", context.progress, context.stop)
    n_done = blocks.n_features - sum(end - first for first, end in missing)
    context.progress.phase("correlating", blocks.n_features, "features", done=n_done)
    correlator = PairCorrelator(spool, spec.partners, context.stop)
    for first, end in missing:
        context.stop.check()
        give_back_memory()
        _save_tile(folder, first, _joined(list(correlator.find_partners(first, end))))
        context.progress.advance(end - first)
    return spool.features.n_units


def _joined(parts: list[Partners]) -> Partners:
    """Consecutive parts of a tile as one."""
    return {measure: join_lists([part[measure] for part in parts]) for measure in Measure}


def join_lists(parts: list[PartnerLists]) -> PartnerLists:
    """The partners of consecutive ranges of features as one."""
    lengths = np.concatenate([np.diff(part.indptr) for part in parts])
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS[1:]}
    reasons = tuple(reason for part in parts for reason in part.reasons)
    return PartnerLists(indptr=np.concatenate([[0], np.cumsum(lengths)]), reasons=reasons, **joined)


def _tile_path(folder: Path, first: int) -> Path:
    return folder / f"partners-{first:08d}.safetensors"


def _save_tile(folder: Path, first: int, partners: Partners) -> None:
    arrays = {f"{measure}.{name}": getattr(lists, name) for measure, lists in partners.items() for name in _ARRAYS}
    reasons = {
        f"{measure}.reason": np.array([_REASONS.index(reason) for reason in lists.reasons], dtype=np.uint8)
        for measure, lists in partners.items()
    }
    save_tensors(_tile_path(folder, first), arrays | reasons, {"first": str(first)})


def _read_tiles(folder: Path) -> Iterator[tuple[int, Partners]]:
    """(first feature, partners by measure) of every tile, in order."""
    for path in sorted(folder.glob("partners-*.safetensors")):
        file = open_tensors(path)
        yield (
            int(file.metadata["first"]),
            {
                measure: PartnerLists(
                    **{name: file.read(f"{measure}.{name}") for name in _ARRAYS},
                    reasons=tuple(_REASONS[code] for code in file.read(f"{measure}.reason").tolist()),
                )
                for measure in Measure
            },
        )


def _publish(
    spec: CorrelateSpec, run: Run, blocks: RunBlocks, n_units: int, folder: Path, context: JobContext
) -> dict[str, Any]:
    facts = CorrelationFacts(
        run_id=run.id,
        unit=Unit(spec.unit),
        n_units=n_units,
        n_blocks=len(blocks.blocks),
        n_blocks_planned=blocks.n_planned,
        n_partners=spec.partners,
        job_id=context.job_id,
    )
    writer = CorrelationWriter(context.store, facts, blocks.n_features, context.guard)
    context.progress.phase("publishing", blocks.n_features, "features")
    n_with = dict.fromkeys(Measure, 0)
    n_dead = n_near_duplicates = 0
    for first, partners in _read_tiles(folder):
        context.stop.check()
        writer.add(first, partners)
        for measure, lists in partners.items():
            n_with[measure] += int((np.diff(lists.indptr) > 0).sum())
        n_dead += partners[Measure.COSINE].reasons.count(NoMeasure.DEAD)
        n_near_duplicates += int((partners[Measure.PEARSON].near_duplicate_of >= 0).sum())
        context.progress.advance(len(partners[Measure.COSINE].reasons))
    writer.publish()
    return {
        "n_features": blocks.n_features,
        "n_dead": n_dead,
        "n_with_partners": {str(measure): n for measure, n in n_with.items()},
        "n_near_duplicates": n_near_duplicates,
    }
