"""What an extraction costs beside the least that it could: the model's forward to the layer and the encoder's product.

Both sides alternate in one process, with the same contexts, threads and float32. The bare side takes the fastest of
several batch sizes and both orders of the product, sorts contexts by length so that it pads as little as can be, and
throws its results away. Featlas' clock runs from the first forward until the run can be queried, with the self-check,
the null features, the block files, all descriptions and publishing in it.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tests.integration.pipeline.workbench import Workbench
from tools.record import save_record

from featlas.core.corpus import CorpusArrays
from featlas.engine.language_model import LanguageModel
from featlas.engine.sae import SaeParams
from featlas.pipeline.extract import run_extraction
from featlas.pipeline.opening import fit_together, open_model, open_sae
from featlas.pipeline.plan import load_plan
from featlas.specs import ExtractSpec
from featlas.store.session import Store

REPOSITORY = Path(__file__).parents[2]
N_TOKENS, N_TIMES = 100_000, 5
BATCH_SIZES, SAMPLE = (8, 16, 32, 64), 400  # contexts on which the bare side chooses its way
ORDERS = ("token-major", "feature-major")
GUARD = 2.0
"""The bar is 1.08; a test fails only where something is broken."""


class Clock:
    """A progress that notes when the first forward begins, and how long each phase takes."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._name, self._since = "opening", time.perf_counter()
        self.first_forward = 0.0

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        now = time.perf_counter()
        self.phases[self._name] = self.phases.get(self._name, 0.0) + now - self._since
        self._name, self._since = name, now
        if name == "checking the SAE":
            self.first_forward = now

    def advance(self, n: int = 1, **figures: float) -> None:
        """Counts do not matter here."""


@dataclass(frozen=True)
class Bare:
    """The model to the layer, and the encoder's product."""

    model: LanguageModel
    sae: SaeParams
    corpus: CorpusArrays

    def run(self, contexts: NDArray[np.int64], batch_size: int, order: str) -> float:
        """Seconds for these contexts."""
        began = time.perf_counter()
        with torch.inference_mode():
            for token_ids, mask in self._batches(contexts, batch_size):
                hidden = self._forward(token_ids)[mask]
                torch.mm(hidden, self.sae.W_enc) if order == ORDERS[0] else torch.mm(self.sae.W_enc.T, hidden.T)
        return time.perf_counter() - began

    def _forward(self, token_ids: torch.Tensor) -> torch.Tensor:
        return self.model.model.model(token_ids, use_cache=False).last_hidden_state

    def _batches(self, contexts: NDArray[np.int64], size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        lengths = np.asarray(self.corpus.context_n[contexts], dtype=np.int64)
        contexts = contexts[np.argsort(-lengths, kind="stable")]
        for first in range(0, len(contexts), size):
            here = contexts[first : first + size]
            n = np.asarray(self.corpus.context_n[here], dtype=np.int64)
            starts = np.asarray(self.corpus.context_slot[here], dtype=np.int64)
            mask = np.arange(n.max())[None] < n[:, None]
            slots = np.where(mask, starts[:, None] + np.arange(n.max()), starts[:, None])
            token_ids = np.asarray(self.corpus.token_ids[slots], dtype=np.int64)
            yield torch.from_numpy(token_ids), torch.from_numpy(mask)


def cut_to_layer(model: LanguageModel, layer: int) -> LanguageModel:
    """The same model without the blocks behind the layer, the final norm and the vocabulary."""
    inner: Any = model.model.model
    del inner.layers[layer + 1 :]
    inner.norm = torch.nn.Identity()
    return model


def alternate(sides: dict[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Seconds of each side, N_TIMES, taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(N_TIMES):
        for name, run in sides.items():
            seconds[name].append(run())
        print({name: round(times[-1], 2) for name, times in seconds.items()}, flush=True)
    return seconds


def test_the_whole_on_the_real_model(tmp_path: Path, smollm2_folder: Path) -> None:
    data = REPOSITORY / "data"
    store = Store.open(f"sqlite:///{tmp_path / 'featlas.db'}")
    bench = Workbench(tmp_path, store)
    spec = ExtractSpec(
        model=str(smollm2_folder),
        sae=str(data / "demo-sae"),
        text=(str(data / "demo-corpus.jsonl.gz"),),
        tokens=N_TOKENS,
    )
    phases: dict[str, list[float]] = {}

    def featlas() -> float:
        clock, job_id = Clock(), bench.enqueue(spec)
        run_extraction(spec, bench.context(job_id, clock))
        ended = time.perf_counter()
        clock.phase("end")
        for name, seconds in clock.phases.items():
            phases.setdefault(name, []).append(seconds)
        jobs_done.append(job_id)
        return ended - clock.first_forward

    jobs_done: list[int] = []
    featlas()  # compiles, and leaves the plan whose contexts the other side reads
    phases.clear()
    plan = load_plan(bench.artifacts(spec, jobs_done[0]))
    model = open_model(spec, tmp_path, "cpu", 0)
    opened = fit_together(spec, open_sae(spec), model)
    bare = Bare(cut_to_layer(model, opened.hook_point.layer), opened.params, plan.corpus())
    contexts = np.arange(plan.corpus().n_contexts)
    tried = {way: min(bare.run(contexts[:SAMPLE], *way) for _ in range(2)) for way in product(BATCH_SIZES, ORDERS)}
    fastest = min(tried, key=lambda way: tried[way])
    seconds = alternate({"bare": lambda: bare.run(contexts, *fastest), "featlas": featlas})
    ratios = [f / b for f, b in zip(seconds["featlas"], seconds["bare"], strict=True)]
    figures = {f"{name}_median_s": statistics.median(times) for name, times in seconds.items()}
    figures |= {"ratio_median": statistics.median(ratios), "ratio_least": min(ratios), "ratio_most": max(ratios)}
    settings = {
        "n_tokens": int(plan.record["n_tokens"]),
        "n_times": N_TIMES,
        "threads": torch.get_num_threads(),
        "bare": {"batch_size": fastest[0], "order": fastest[1]},
        "phases_median_s": {name: round(statistics.median(times), 2) for name, times in phases.items()},
    }
    print(figures, settings)
    save_record("extraction", figures, settings=settings)
    store.close()
    assert figures["ratio_median"] < GUARD
