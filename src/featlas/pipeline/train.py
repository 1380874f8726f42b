"""Training as a use case: texts and a model become an SAE in SAELens format, with a card that says how good it is.

Documents whose hash falls into the held-out share are never trained on; the card's figures come from them alone.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from featlas.core.quality import QualityTotals
from featlas.domain import HookPoint
from featlas.engine.quality import reconstruction_sums
from featlas.engine.sae import SaeParams
from featlas.engine.sinks import find_sink_limit
from featlas.engine.trainer import ShuffleBuffer, Trainer, TrainOptions
from featlas.errors import InputError
from featlas.exchange.saelens_files import save_saelens
from featlas.pipeline.activation_stream import Reader, keep_activations, load_manifest, stream_forever, stream_kept
from featlas.pipeline.check import SAMPLE_TOKENS, choose_sample, read_sample
from featlas.pipeline.opening import open_model, open_tokenizer
from featlas.pipeline.plan import Plan, make_plan
from featlas.pipeline.progress import Progress, Stop
from featlas.pipeline.registry import JobContext
from featlas.sources.sae_files import SaeFile, load_sae
from featlas.specs import TrainSpec
from featlas.store.atomic_files import disk_errors_named


def run_training(spec: TrainSpec, context: JobContext) -> dict[str, Any]:
    """Train an SAE, write it to `spec.out` and return its training card.

    Raises InputError for texts, models or hook points that cannot be used; ExternalError where the disk refuses.
    """
    started = time.monotonic()
    hook_point = HookPoint.parse(spec.hook_point)
    _refuse_file(Path(spec.out))
    start = _open_start(spec)
    tokenizer = open_tokenizer(spec, context.cache_path)
    with tempfile.TemporaryDirectory(prefix="featlas-train-") as folder:
        plan = make_plan(spec, tokenizer, False, Path(folder) / "run", context.progress, context.stop)
        model = open_model(spec, context.cache_path, context.device, context.threads)
        model.require_room(spec.ctx_len)
        is_trained_on, is_held_out = split_contexts(plan, spec.held_out)
        if not (is_trained_on.any() and is_held_out.any()):
            raise InputError(
                f"{plan.n_documents} documents cannot be split with --held-out {spec.held_out}; give more text"
            )
        with disk_errors_named(Path(spec.out)):  # before hours are spent
            Path(spec.out).mkdir(parents=True, exist_ok=True)
        sample = read_sample(
            plan.corpus(), choose_sample(plan.corpus(), spec.seed, SAMPLE_TOKENS), model, [hook_point], spec.batch_size
        ).acts[hook_point]
        limit = find_sink_limit(sample.norm(dim=-1), hook_point.site, spec.sink_norm_ratio)
        reader = Reader(plan, model, hook_point, limit)
        stream, facts = _open_stream(spec, reader, is_trained_on, context)
        trainer = fit(spec, stream, context.progress, context.stop, start)
        context.progress.phase("measuring", spec.held_out_tokens, "tokens")
        sae = rounded(trainer.to_params(), spec.sae_dtype)
        figures = measure(sae, reader, is_held_out, spec.held_out_tokens, context.progress)
        card = {
            **figures,
            **facts,
            "token_steps": trainer.n_steps * spec.sae_batch,
            "n_documents": plan.n_documents,
            "n_documents_held_out": int(is_held_out_document(plan, spec.held_out).sum()),
            "sink_norm_limit": limit,
            "seconds": round(time.monotonic() - started, 1),
            "texts": [Path(place).name for place in spec.text],
            **({} if start is None else {"start": start.config.get("metadata", {}).get("training_card")}),
            "versions": {name: version(name) for name in ("featlas", "torch", "transformers")},
            "spec": spec.model_dump(mode="json", exclude={"text", "out", "model", "activations"}),
        }
        save_trained(Path(spec.out), sae, hook_point, spec, card)
    return card


def _open_start(spec: TrainSpec) -> SaeFile | None:
    """The SAE to go on from; raises what `load_sae` does, and InputError where it reads another place."""
    if not spec.start:
        return None
    start = load_sae(spec.start)
    if start.hook_point not in ("", spec.hook_point):
        raise InputError(f"--start {spec.start} reads {start.hook_point}, and --hook-point is {spec.hook_point}")
    return start


def _refuse_file(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; expected a folder, which need not exist yet, for the SAE's files")


def is_held_out_document(plan: Plan, share: float) -> NDArray[np.bool_]:
    """Documents whose key, a hash of their content, is in the lowest `share` of hashes. [n_documents]."""
    return np.asarray(plan.corpus().document_key) < np.uint64(int(share * 2**64))


def split_contexts(plan: Plan, share: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Contexts to train on, without any held-out document, and to measure on, of such alone. Both [n_contexts].

    Where documents are joined, contexts that hold both kinds are neither.
    """
    context = np.asarray(plan.arrays["context_of_slot"][plan.arrays["segment_slot"]], dtype=np.int64)
    is_held_out = is_held_out_document(plan, share)[plan.arrays["segment_document"]]
    n_held_out = np.bincount(context[is_held_out], minlength=plan.n_contexts)
    return n_held_out == 0, n_held_out == np.bincount(context, minlength=plan.n_contexts)


def _open_stream(
    spec: TrainSpec, reader: Reader, is_wanted: NDArray[np.bool_], context: JobContext
) -> tuple[Iterator[Tensor], dict[str, Any]]:
    """The activations to train on, and what the card says of them."""
    facts = {
        "model_fingerprint": reader.model.fingerprint,
        "corpus_fingerprint": reader.plan.corpus_fingerprint,
        "hook_point": spec.hook_point,
        "lm_dtype": spec.lm_dtype,
        "ctx_len": spec.ctx_len,
        "packing": spec.packing,
        "held_out": spec.held_out,
        "sink_norm_ratio": spec.sink_norm_ratio,
    }
    if not spec.activations:
        n_tokens = int(reader.plan.corpus().context_n[is_wanted].sum())
        return stream_forever(reader, is_wanted, lambda _n: None), {**facts, "n_distinct_tokens": n_tokens}
    folder = Path(spec.activations)
    manifest = load_manifest(folder, facts)
    if manifest is None:
        context.progress.phase("reading activations", int(reader.plan.corpus().context_n[is_wanted].sum()), "tokens")
        manifest = keep_activations(reader, is_wanted, folder, facts, context.progress.advance)
    return stream_kept(folder, manifest["n_parts"], spec.seed), {**facts, "n_distinct_tokens": manifest["n_tokens"]}


def fit(
    spec: TrainSpec, stream: Iterator[Tensor], progress: Progress, stop: Stop, start: SaeFile | None = None
) -> Trainer:
    """Run the optimiser over `spec.tokens` token steps of the stream, from `start` on where one is given."""
    options = TrainOptions(
        architecture=spec.architecture,
        d_sae=spec.d_sae,
        k=spec.k,
        tokens=spec.tokens,
        sae_batch=spec.sae_batch,
        learning_rate=spec.learning_rate,
        aux_coefficient=spec.aux_coefficient,
        dead_after_tokens=spec.dead_after_tokens,
        seed=spec.seed,
        density_penalty=spec.density_penalty,
        max_density=spec.max_density,
    )
    progress.phase("filling the buffer", None)
    buffer = ShuffleBuffer(stream, max(spec.buffer_tokens, 2 * spec.sae_batch), spec.seed)
    trainer = Trainer(buffer.fill().clone(), options)
    if start is not None:
        trainer.start_from(start.params)
    progress.phase("training", spec.tokens, "tokens")
    for batch in buffer.batches(spec.sae_batch):
        stop.check()
        report = trainer.step(batch)
        progress.advance(len(batch), fvu=report.fvu, l0=report.l0, n_dead=report.n_dead)
        if trainer.n_steps * spec.sae_batch >= spec.tokens:
            break
    return trainer


def measure(
    sae: SaeParams, reader: Reader, is_wanted: NDArray[np.bool_], n_tokens: int, progress: Progress
) -> dict[str, Any]:
    """FVU, L0 and dead share over about n_tokens held-out tokens without sinks."""
    quality = QualityTotals.empty()
    counts = torch.zeros(sae.d_sae, dtype=torch.long)
    n_read, n_sinks = 0, 0
    sae = sae.to(torch.device("cpu"))
    for acts, n_left_out in reader.read(is_wanted):
        sums = reconstruction_sums(sae, acts)
        row = np.array([[sums["n"], sums["error"], sums["square"]], [0.0, 0.0, 0.0]])
        total = np.asarray(sums["sum"])
        quality = quality.plus(row, np.stack([total, np.zeros_like(total)]))
        counts += (sae.encode(acts) != 0).sum(0)
        n_read, n_sinks = n_read + len(acts), n_sinks + n_left_out
        progress.advance(len(acts))
        if n_read >= n_tokens:
            break
    return {
        "fvu": quality.fvu(with_sinks=False),
        "l0": float(counts.sum()) / n_read,
        "dead_share": float((counts == 0).float().mean()),
        "n_tokens_held_out": n_read,
        "n_sinks_left_out": n_sinks,
    }


def rounded(sae: SaeParams, dtype: str) -> SaeParams:
    """The SAE as it will be read back: encoder and decoder rounded to the saved precision, held as float32."""
    saved = getattr(torch, dtype)
    return replace(sae, W_enc=sae.W_enc.to(saved).to(torch.float32), W_dec=sae.W_dec.to(saved).to(torch.float32))


def save_trained(folder: Path, sae: SaeParams, hook_point: HookPoint, spec: TrainSpec, card: dict[str, Any]) -> None:
    """Write the SAE; a BatchTopK SAE is saved, as the field does, as jumprelu with its inference threshold."""
    tensors = {name: getattr(sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    config: dict[str, Any] = {"architecture": "topk", "k": sae.k}
    if sae.threshold is not None:
        tensors["threshold"] = sae.threshold
        config = {"architecture": "jumprelu"}
    metadata = {
        "model_name": spec.model,
        "hook_name": str(hook_point),
        "prepend_bos": False,
        "context_size": card["ctx_len"],
        "training_card": card,
    }
    shape = {"d_in": sae.d_in, "d_sae": sae.d_sae, "dtype": spec.sae_dtype}
    large = {name: tensors.pop(name).to(getattr(torch, spec.sae_dtype)) for name in ("W_enc", "W_dec")}
    arrays = {name: tensor.numpy() for name, tensor in (large | tensors).items()}
    save_saelens(folder, arrays, {**config, **shape, "metadata": metadata})
