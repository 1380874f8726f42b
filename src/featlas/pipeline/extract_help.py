"""Makes blocks of an extraction that another worker has, as long as there are shares that nobody makes."""

from dataclasses import dataclass

from featlas.engine.language_model import LanguageModel
from featlas.errors import ConflictError, NotFoundError
from featlas.pipeline.block_pass import Target, run_blocks
from featlas.pipeline.extract import recipe_of_machine, settle_target
from featlas.pipeline.identity import extraction_hash
from featlas.pipeline.opening import fit_together, open_model, open_sae
from featlas.pipeline.plan import Plan, load_plan
from featlas.pipeline.progress import StopFlag
from featlas.pipeline.registry import JobContext
from featlas.pipeline.sharing import EitherStop, held
from featlas.specs import ExtractSpec
from featlas.store.artifacts import artifact_name, has_block, has_plan, list_tables
from featlas.store.runs import find_pending_runs
from featlas.store.shards import Shard, claim_shard


@dataclass(frozen=True)
class _Opened:
    plan: Plan
    model: LanguageModel
    target: Target


def help_extraction(spec: ExtractSpec, context: JobContext) -> int:
    """Take shares of a running extraction until none is free; returns how many blocks were made.

    Raises ConflictError where this machine would not make the same blocks bit for bit: other inputs, another folder of
    artifacts, other versions, another processor or number of threads. Raises JobHandedBack when asked to go.
    """
    assert context.sharing is not None
    assert context.job_id is not None
    folder = context.artifacts_path / artifact_name(extraction_hash(spec), context.job_id)
    if not has_plan(folder) or "target" not in list_tables(folder):
        raise ConflictError(
            f"this machine cannot help with job {context.job_id}: {folder} holds no plan of it; expected texts, SAE,"
            " model and artifacts under the same paths as where the job runs, on a folder that all share, or the same"
            " FEATLAS_ARTIFACTS_URL"
        )
    opened: _Opened | None = None
    n_made = 0
    while True:
        sharing = context.sharing
        shard = claim_shard(context.store, context.job_id, folder.name, sharing.owner, sharing.lease_s)
        if shard is None:
            return n_made
        flag = StopFlag()
        with held(context.store, shard, sharing.lease_s, flag):
            opened = opened or _open(spec, load_plan(folder), context)
            n_made += _make(shard, opened, context, flag)


def _open(spec: ExtractSpec, plan: Plan, context: JobContext) -> _Opened:
    model = open_model(spec, context.cache_path, context.device, context.threads)
    _require_same_recipe(context, model)
    target, _ = settle_target(spec, plan, model, fit_together(spec, open_sae(spec), model), context.progress)
    return _Opened(plan, model, target)


def _require_same_recipe(context: JobContext, model: LanguageModel) -> None:
    assert context.job_id is not None
    with context.store.read() as session:
        pending = find_pending_runs(session, context.job_id)
    if not pending:
        raise NotFoundError(f"job {context.job_id} has no run to help with; it begins again or is over")
    here, there = recipe_of_machine(model), pending[-1].recipe
    different = [
        f"{name}: {there.get(name)} there, {here[name]} here" for name in here if here[name] != there.get(name)
    ]
    if different:
        raise ConflictError(
            f"this machine cannot help with job {context.job_id}, because its numbers could differ in the last bits"
            f" ({'; '.join(different)}); set FEATLAS_THREADS alike and install the same versions on all workers"
        )


def _make(shard: Shard, opened: _Opened, context: JobContext, flag: StopFlag) -> int:
    todo = [block for block in shard.blocks if not has_block(opened.plan.folder, block)]
    stop = EitherStop(context.stop, flag)
    run_blocks(opened.plan, todo, opened.model, opened.target, context.progress, stop)
    return len(todo)
