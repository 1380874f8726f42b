"""The main job: texts, a model and an SAE become a run in which every feature is described.

    open → plan (tokens in slots) → self-check → the pass (block files) → describe → publish

The plan and the block files are all the state there is: a resume finds what is whole and goes on from it.
"""

import os
import platform
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from featlas.core.describe import DescribeOptions
from featlas.domain import SaeOrigin, Split
from featlas.engine.language_model import LanguageModel
from featlas.engine.null_features import make_null_features
from featlas.engine.sinks import ordinary_rows
from featlas.errors import InputError, NotFoundError
from featlas.pipeline.block_pass import Target, run_blocks
from featlas.pipeline.check import SAMPLE_TOKENS, check_on_corpus
from featlas.pipeline.describe_run import describe_run, publish_description
from featlas.pipeline.identity import extraction_hash
from featlas.pipeline.kept_target import KeptTarget, load_target, save_target
from featlas.pipeline.opening import OpenedSae, fit_together, open_model, open_sae, open_tokenizer
from featlas.pipeline.plan import Plan, load_plan, make_plan
from featlas.pipeline.progress import Progress
from featlas.pipeline.registry import JobContext
from featlas.pipeline.sharing import blocks_to_make
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import ExtractSpec
from featlas.store.artifacts import (
    artifact_name,
    has_plan,
    list_artifacts,
    list_finished_blocks,
    remove_artifacts,
    remove_leftovers,
)
from featlas.store.registry import (
    CorpusFacts,
    DocumentFacts,
    ModelFacts,
    SaeFacts,
    add_documents,
    register_corpus,
    register_model,
    register_sae,
    register_tokenizer,
)
from featlas.store.runs import Run, RunFacts, create_run, find_pending_runs
from featlas.store.shared_artifacts import require_shared_place
from featlas.store.snapshots import SnapshotWriter, discard_run

PARTIAL_EVERY_S = 300.0
"""A partial snapshot follows the last one after this time, once twice as many blocks are done."""

RECIPE_PACKAGES = ("featlas", "torch", "transformers", "numpy", "tokenizers")


@dataclass(frozen=True)
class Inputs:
    """What a run is of, opened and fitting together."""

    spec: ExtractSpec
    spec_hash: str
    plan: Plan
    model: LanguageModel
    opened: OpenedSae
    tokenizer: Tokenizer


def run_extraction(spec: ExtractSpec, context: JobContext) -> dict[str, Any]:
    """Run an extraction to its end, or go on with one that was stopped.

    Raises:
        InputError: texts, model or SAE cannot be used, or the self-check refuses the SAE.
        JobCancelled, JobPaused: asked to stop; the blocks made so far are kept.
    """
    started = time.monotonic()
    require_shared_place(context.artifacts_path)
    file = open_sae(spec)
    tokenizer = open_tokenizer(spec, context.cache_path)
    spec_hash = extraction_hash(spec)
    context.progress.phase("loading the model", None)
    model = open_model(spec, context.cache_path, context.device, context.threads)
    opened = fit_together(spec, file, model)  # before any text is read: what cannot be shall fail at once
    folder = context.artifacts_path / artifact_name(spec_hash, context.job_id)
    _discard_other_inputs(folder, spec_hash, context)
    plan, target, check = _settle(spec, folder, model, opened, tokenizer, context)
    inputs = Inputs(spec, spec_hash, plan, model, opened, tokenizer)
    run = _find_run(inputs, context) or _create_run(inputs, check, context)
    read_s = _make_blocks(plan, model, target, run, spec, context)
    published = _publish(plan, list(range(plan.n_blocks)), target, run, spec, context, is_partial=False)
    return {"run": run.id, "name": run.name, "seconds": time.monotonic() - started, "pass_s": read_s, **published}


def _discard_other_inputs(folder: Path, spec_hash: str, context: JobContext) -> None:
    """Drop what earlier attempts of this job made of texts, an SAE or a model that have changed since."""
    remove_leftovers(folder)
    if context.job_id is None:
        return
    with context.store.read() as session:
        pending = find_pending_runs(session, context.job_id)
    for run in pending:
        if run.spec_hash != spec_hash:
            discard_run(context.store, run.id, context.guard)
    for other in list_artifacts(context.artifacts_path, artifact_name("*", context.job_id)):
        if other != folder:
            remove_artifacts(other)


def _settle(  # the whole of what a run begins with
    spec: ExtractSpec,
    folder: Path,
    model: LanguageModel,
    opened: OpenedSae,
    tokenizer: Tokenizer,
    context: JobContext,
) -> tuple[Plan, Target, dict[str, Any]]:
    """The plan, the target and the self-check of a run; where they cannot be, nothing of it stays."""
    try:
        plan = load_plan(folder) if has_plan(folder) else _make_plan(spec, tokenizer, opened, folder, context)
        target, check = settle_target(spec, plan, model, opened, context.progress)
    except (InputError, NotFoundError):
        remove_artifacts(folder)
        raise
    return plan, target, check


def _make_plan(spec: ExtractSpec, tokenizer: Tokenizer, opened: OpenedSae, folder: Path, context: JobContext) -> Plan:
    return make_plan(spec, tokenizer, opened.file.prepend_bos, folder, context.progress, context.stop)


def settle_target(
    spec: ExtractSpec, plan: Plan, model: LanguageModel, opened: OpenedSae, progress: Progress
) -> tuple[Target, dict[str, Any]]:
    """The target and the self-check, settled before the first block and kept beside the blocks.

    Every later call for the same plan, in whatever process, gives the same target, so that all count by the same
    rules. Raises InputError where the self-check refuses the SAE.
    """
    progress.phase("checking the SAE", None)
    kept = load_target(plan.folder)
    if kept is None:
        check, sample = check_on_corpus(spec, plan.corpus(), model, opened, SAMPLE_TOKENS)
        if check.is_refused and not spec.force:
            raise InputError(f"{check.verdict}; or use --force to run all the same")
        counted = sample[ordinary_rows(sample, check.sink_norm_limit)]
        null_features = make_null_features(opened.params, counted, spec.null_features, spec.seed, spec.threshold)
        kept = KeptTarget(check.to_json(), check.sink_norm_limit, null_features)
        save_target(plan.folder, kept)
    target = Target(
        sae=opened.params,
        null_features=kept.null_features and kept.null_features.to(model.device),
        hook_point=opened.hook_point,
        threshold=spec.threshold,
        sink_limit=kept.sink_limit,
        mean_centred=opened.mean_centred,
    )
    return target, kept.check


def _find_run(inputs: Inputs, context: JobContext) -> Run | None:
    """The run that an earlier attempt of this job began."""
    if context.job_id is None:
        return None
    with context.store.read() as session:
        pending = find_pending_runs(session, context.job_id)
    return next((run for run in pending if run.spec_hash == inputs.spec_hash), None)


def _create_run(inputs: Inputs, check: dict[str, Any], context: JobContext) -> Run:
    spec, plan, tokenizer = inputs.spec, inputs.plan, inputs.tokenizer
    store, guard = context.store, context.guard
    tokenizer_id = register_tokenizer(
        store, tokenizer.fingerprint, _split_bytes(tokenizer), sorted(tokenizer.special_ids)
    )
    corpus_id = register_corpus(
        store, CorpusFacts(plan.corpus_fingerprint, _corpus_name(spec), plan.n_documents, plan.n_tokens)
    )
    add_documents(store, corpus_id, _read_document_facts(plan), guard)
    facts = RunFacts(
        model_id=register_model(store, _model_facts(spec, inputs.model, tokenizer_id)),
        sae_id=register_sae(store, _sae_facts(spec, inputs.opened)),
        corpus_id=corpus_id,
        spec=spec.model_dump(mode="json"),
        spec_hash=inputs.spec_hash,
        name=spec.name,
        recipe={"hook_point": str(inputs.opened.hook_point), **_recipe(spec, plan, inputs.model)},
        self_check=check,
        is_forced=bool(check["is_refused"]),
        job_id=context.job_id,
    )
    return create_run(store, facts, guard)


def _read_document_facts(plan: Plan) -> Iterator[DocumentFacts]:
    for row in plan.documents():
        yield DocumentFacts(
            row["document_index"], row["source"], row["external_id"] or "", Split(row["split"]), row["metadata"]
        )


def _split_bytes(tokenizer: Tokenizer) -> list[bytes]:
    ends = [0, *tokenizer.ends.tolist()]
    return [tokenizer.token_bytes[first:last] for first, last in pairwise(ends)]


def _corpus_name(spec: ExtractSpec) -> str:
    return ", ".join(Path(place).name if not place.startswith("hf:") else place for place in spec.text)[:200]


def _model_facts(spec: ExtractSpec, model: LanguageModel, tokenizer_id: int) -> ModelFacts:
    return ModelFacts(
        fingerprint=model.fingerprint,
        name=_model_name(model.name),
        tokenizer_id=tokenizer_id,
        d_model=model.d_model,
        n_layers=model.n_layers,
        source=spec.model,
        revision=spec.model_revision,
        config=model.config,
    )


def _model_name(place: str) -> str:
    """A folder in hub layout is called by its repository, any other folder by its own name."""
    parts = Path(place).parts
    repository = next((part for part in parts if part.startswith("models--")), None)
    if repository:
        return repository.split("--")[-1]
    return Path(place).name if Path(place).is_dir() else place


def _sae_facts(spec: ExtractSpec, opened: OpenedSae) -> SaeFacts:
    trained = bool(opened.file.config.get("metadata", {}).get("training_card"))
    return SaeFacts(
        fingerprint=opened.fingerprint,
        name=opened.file.name,
        architecture=opened.file.architecture,
        d_in=opened.params.d_in,
        d_sae=opened.params.d_sae,
        d_out=opened.params.d_out,
        hook_point=opened.file.hook_point or str(opened.hook_point),  # the SAE's own; a run may read elsewhere
        format=opened.file.format,
        origin=SaeOrigin.TRAINED if trained else SaeOrigin.EXTERNAL,
        source=spec.sae,
        config=opened.file.config,
    )


def _recipe(spec: ExtractSpec, plan: Plan, model: LanguageModel) -> dict[str, Any]:
    return {
        "lm_dtype": spec.lm_dtype,
        "n_blocks": plan.n_blocks,
        "block_slots": plan.block_slots,
        "order": plan.record["order"],
        **recipe_of_machine(model),
    }


def recipe_of_machine(model: LanguageModel) -> dict[str, Any]:
    """What of a machine decides the last bits of its numbers: all workers of one run must agree in it."""
    return {
        "device": str(model.device),
        "threads": torch.get_num_threads(),
        "cpu": platform.processor() or platform.machine(),
        "cpu_features": torch.backends.cpu.get_cpu_capability(),
        "versions": {name: version(name) for name in RECIPE_PACKAGES},
    }


def _make_blocks(
    plan: Plan, model: LanguageModel, target: Target, run: Run, spec: ExtractSpec, context: JobContext
) -> float:
    """Make the blocks that are not there yet, publishing partial snapshots now and then; seconds spent on the pass."""
    n_positions = [count_positions(plan, block) for block in range(plan.n_blocks)]
    n_done = sum(n_positions[block] for block in list_finished_blocks(plan.folder))
    context.progress.phase("reading the text", sum(n_positions), "tokens", done=n_done)
    started = last_published = time.monotonic()
    n_published = 0
    with closing(blocks_to_make(plan, n_positions, context)) as blocks:
        for block in blocks:
            run_blocks(plan, [block], model, target, context.progress, context.stop)
            if time.monotonic() - last_published <= PARTIAL_EVERY_S:
                continue
            n_whole = _count_whole(plan)
            if 2 * n_published <= n_whole < plan.n_blocks:
                _publish(plan, list(range(n_whole)), target, run, spec, context, is_partial=True)
                n_done = sum(n_positions[block] for block in list_finished_blocks(plan.folder, verify=False))
                context.progress.phase("reading the text", sum(n_positions), "tokens", done=n_done)
                last_published, n_published = time.monotonic(), n_whole
    return time.monotonic() - started


def _count_whole(plan: Plan) -> int:
    """Blocks from the first on without a gap: what a partial snapshot may rest on."""
    done = set(list_finished_blocks(plan.folder, verify=False))
    return next(block for block in range(plan.n_blocks + 1) if block not in done)


def count_positions(plan: Plan, block: int) -> int:
    """Token positions in a block, gaps left out."""
    first, end = plan.contexts_of_block(block)
    return int(plan.corpus().context_n[first:end].sum())


def _publish(
    plan: Plan, blocks: list[int], target: Target, run: Run, spec: ExtractSpec, context: JobContext, *, is_partial: bool
) -> dict[str, Any]:
    spool = plan.folder / "spool"
    shutil.rmtree(spool, ignore_errors=True)
    os.makedirs(spool)
    options = DescribeOptions(n_real=target.sae.d_sae, seed=spec.seed, top_tokens=spec.top_tokens)
    try:
        described = describe_run(plan, blocks, target.n_features, options, spool, context.progress, context.stop)
        header = described.header(is_partial=is_partial)
        n_occurrences = described.index.totals.n_occurrences.sum(0)
        writer = SnapshotWriter(context.store, run.id, header, n_occurrences, context.guard)
        publish_description(described, writer, context.progress, context.stop)
    finally:
        shutil.rmtree(spool, ignore_errors=True)
    return {"n_tokens": header.n_tokens, "n_contexts": header.n_contexts, **dict(header.quality or {})}
