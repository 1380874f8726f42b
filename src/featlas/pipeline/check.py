"""The self-check as a use case: a sample of contexts is read and the SAE is tried on it, rightly and wrongly."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.hashing import hash_arrays
from featlas.domain import Cause, HookPoint
from featlas.engine.language_model import LanguageModel
from featlas.engine.self_check import Sample, SelfCheck, check_sae, neighbour_hooks
from featlas.errors import InputError
from featlas.pipeline.block_pass import lay_out_batch
from featlas.pipeline.opening import OpenedSae, fit_together, open_model, open_sae, open_tokenizer
from featlas.pipeline.plan import make_plan
from featlas.pipeline.registry import JobContext
from featlas.specs import CheckSpec, ExtractSpec

SAMPLE_TOKENS = 4096
SAMPLE_SALT = 0x5A4D_91E5  # keeps this choice of contexts apart from every other one by the same seed


def choose_sample(corpus: CorpusArrays, seed: int, n_tokens: int) -> NDArray[np.int64]:
    """Hash-chosen contexts that hold n_tokens tokens between them (all, where the corpus is smaller), ascending."""
    document = np.asarray(corpus.context_document)
    keys = hash_arrays(
        seed ^ SAMPLE_SALT, np.asarray(corpus.document_key)[document], np.asarray(corpus.context_token_offset)
    )
    order = np.argsort(keys, kind="stable")
    enough = int(np.searchsorted(np.cumsum(np.asarray(corpus.context_n)[order]), n_tokens)) + 1
    return np.sort(order[:enough])


def read_sample(
    corpus: CorpusArrays, contexts: NDArray[np.int64], model: LanguageModel, hooks: Sequence[HookPoint], batch_size: int
) -> Sample:
    """Activations of the contexts' counted positions at every hook point (sinks are not yet told apart)."""
    order = contexts[np.argsort(-np.asarray(corpus.context_n[contexts]), kind="stable")]
    acts: dict[HookPoint, list[torch.Tensor]] = {hook: [] for hook in hooks}
    numbers: list[NDArray[np.int64]] = []
    for start in range(0, len(order), batch_size):
        rows = lay_out_batch(corpus, order[start : start + batch_size], block_start=0)
        is_counted = np.asarray(corpus.cause[rows.slot]) == Cause.COUNTED
        kept = torch.from_numpy(is_counted).to(model.device)
        seen = model.activations(rows.token_ids, hooks)
        for hook in hooks:
            acts[hook].append(seen[hook][rows.mask.to(model.device)][kept])
        numbers.append(rows.context[is_counted])
    context = np.searchsorted(contexts, np.concatenate(numbers))
    return Sample({hook: torch.cat(parts) for hook, parts in acts.items()}, torch.from_numpy(context))


def readable_neighbours(model: LanguageModel, hook_point: HookPoint) -> list[HookPoint]:
    """The hook points mistaken for this one that this architecture has."""
    found = []
    for hook in neighbour_hooks(hook_point, model.n_layers):
        try:
            model.width(hook)
        except InputError:
            continue
        found.append(hook)
    return found


def check_on_corpus(
    spec: CheckSpec | ExtractSpec, corpus: CorpusArrays, model: LanguageModel, opened: OpenedSae, n_tokens: int
) -> tuple[SelfCheck, torch.Tensor]:
    """The self-check on a tokenised corpus, and the sample's activations at the SAE's own hook point [n, d_in]."""
    contexts = choose_sample(corpus, spec.seed, n_tokens)
    hooks = [opened.hook_point, *readable_neighbours(model, opened.hook_point)]
    sample = read_sample(corpus, contexts, model, hooks, spec.batch_size)
    if opened.mean_centred:
        centred = {hook: acts - acts.mean(dim=-1, keepdim=True) for hook, acts in sample.acts.items()}
        sample = Sample(centred, sample.context)
    found = check_sae(opened.params, opened.hook_point, sample, spec.sink_norm_ratio, opened.file.claims)
    return found, sample.acts[opened.hook_point]


def run_check(spec: CheckSpec, context: JobContext) -> dict[str, Any]:
    """`featlas check`: the verdict and its figures as plain values."""
    file = open_sae(spec)
    tokenizer = open_tokenizer(spec, context.cache_path)
    with tempfile.TemporaryDirectory(prefix="featlas-check-") as folder:
        plan = make_plan(spec, tokenizer, file.prepend_bos, Path(folder) / "run", context.progress, context.stop)
        model = open_model(spec, context.cache_path, context.device, context.threads)
        opened = fit_together(spec, file, model)
        context.progress.phase("checking", None)
        found, _ = check_on_corpus(spec, plan.corpus(), model, opened, spec.tokens)
    return found.to_json()
