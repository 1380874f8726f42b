"""What encoding costs beside the bare product of activations and encoder, where the activations are there already.

Both sides alternate in one process over the same rows. The bare side takes the fastest of four ways to write the
product in float32 and throws it away. Featlas finds every event, writes the block files and describes every feature;
its FVU, examples, token table and checkpoints are in it.
"""

import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.builders.stand_in import N_VOCAB, save_stand_in, save_zipf_tokens
from tools.record import save_record
from torch import Tensor

from featlas.core.describe import DescribeOptions
from featlas.domain import HookPoint, Site
from featlas.engine.events import MOST_ROWS, find_events
from featlas.engine.sae import SaeParams
from featlas.pipeline.block_pass import Target, run_blocks
from featlas.pipeline.describe_run import describe_run
from featlas.pipeline.opening import open_tokenizer
from featlas.pipeline.plan import Plan, make_plan
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.specs import ExtractSpec

N_TOKENS, N_TIMES = 50_000, 5
D_IN, L0, K, CTX_LEN = 576, 50, 32, 128
GUARD = 6.0
"""Where the bar is 1.15 for thresholds and 1.25 for topk; a test fails only where something is broken."""


class KeptActivations:
    """In the place of a model: a row for each token id and position, so that firing depends on both."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        chance = torch.Generator().manual_seed(0)
        self._of_token = torch.randn(N_VOCAB, D_IN, generator=chance)
        self._of_position = torch.randn(CTX_LEN, D_IN, generator=chance)

    def activations(self, token_ids: Tensor, hook_points: list[HookPoint]) -> dict[HookPoint, Tensor]:
        found = self._of_token[token_ids] + self._of_position[: token_ids.shape[1]]
        return dict.fromkeys(hook_points, found)

    def rows(self) -> Tensor:
        """As many rows as are encoded together."""
        return (self._of_token[:MOST_ROWS].view(-1, CTX_LEN, D_IN) + self._of_position).view(MOST_ROWS, D_IN)


def make_sae(kind: str, d_sae: int, rows: Tensor) -> SaeParams:
    """A random SAE; with thresholds so that about L0 features fire on a token, or topk."""
    chance = torch.Generator().manual_seed(1)
    W_enc = torch.randn(D_IN, d_sae, generator=chance) / D_IN**0.5
    rest = (W_enc.T.contiguous(), torch.zeros(D_IN))
    if kind == "topk":
        return SaeParams(W_enc, torch.zeros(d_sae), *rest, "topk", k=K)
    sample = (rows[:256] @ W_enc).flatten()[: 1 << 20]
    return SaeParams(W_enc, torch.full((d_sae,), -float(sample.quantile(1 - L0 / d_sae))), *rest, "relu")


def bare_product(sae: SaeParams, rows: Tensor) -> Callable[[], object]:
    """The fastest way to write the product of one batch."""
    turned = sae.W_enc.T.contiguous()
    by_token, by_feature = torch.empty(len(rows), sae.d_sae), torch.empty(sae.d_sae, len(rows))
    ways = (
        lambda: torch.mm(rows, sae.W_enc, out=by_token),
        lambda: torch.mm(rows, turned.T, out=by_token),
        lambda: torch.mm(turned, rows.T, out=by_feature),
        lambda: torch.mm(sae.W_enc.T, rows.T, out=by_feature),
    )
    return min(ways, key=lambda way: min(timed(way) for _ in range(3)))


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def describe(plan: Plan, sae: SaeParams, spool: Path) -> int:
    """Every feature described; the number of events."""
    shutil.rmtree(spool, ignore_errors=True)
    spool.mkdir()
    options = DescribeOptions(n_real=sae.d_sae)
    blocks = list(range(plan.n_blocks))
    described = describe_run(plan, blocks, sae.d_sae, options, spool, NoProgress(), NeverStop())
    return int(described.totals.n_events.sum())


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("encoding")
    text = save_zipf_tokens(folder / "text.parquet", N_TOKENS)
    spec = ExtractSpec(**save_stand_in(folder, d_sae=64), text=(str(text),), tokens_field="tokens", ctx_len=CTX_LEN)
    return make_plan(spec, open_tokenizer(spec, folder), False, folder / "run", NoProgress(), NeverStop())


@pytest.mark.parametrize("kind", ["threshold", "topk"])
@pytest.mark.parametrize("d_sae", [8192, 32_768])
def test_encoding(plan: Plan, kind: str, d_sae: int) -> None:
    kept = KeptActivations()
    rows = kept.rows()
    sae = make_sae(kind, d_sae, rows)
    target = Target(sae, None, HookPoint(0, Site.RESID_POST), 0.0, None, mean_centred=False)
    bare = bare_product(sae, rows)
    n_batches = plan.record["n_tokens"] / len(rows)
    spool, n_events = plan.folder / "spool", 0
    seconds: dict[str, list[float]] = {name: [] for name in ("bare", "kernel", "pass", "describe")}
    find_events(sae, rows, 0.0)  # compiles
    for _ in range(N_TIMES):
        shutil.rmtree(plan.folder / "blocks", ignore_errors=True)
        seconds["bare"].append(n_batches * statistics.mean(timed(bare) for _ in range(5)))
        seconds["kernel"].append(
            n_batches * statistics.mean(timed(lambda: find_events(sae, rows, 0.0)) for _ in range(5))
        )
        began = time.perf_counter()
        run_blocks(plan, range(plan.n_blocks), kept, target, NoProgress(), NeverStop())  # pyright: ignore[reportArgumentType]
        seconds["pass"].append(time.perf_counter() - began)
        began = time.perf_counter()
        n_events = describe(plan, sae, spool)
        seconds["describe"].append(time.perf_counter() - began)
    ratios = {
        name: [each / least for each, least in zip(seconds[name], seconds["bare"], strict=True)]
        for name in ("kernel", "pass", "describe")
    }
    ratios["whole"] = [a + b for a, b in zip(ratios["pass"], ratios["describe"], strict=True)]
    figures = {f"{name}_ratio_median": statistics.median(found) for name, found in ratios.items()}
    figures |= {f"{name}_ratio_least": min(found) for name, found in ratios.items()}
    figures |= {f"{name}_ratio_most": max(found) for name, found in ratios.items()}
    figures |= {
        "bare_median_s": statistics.median(seconds["bare"]),
        "described_events_per_s": n_events / statistics.median(seconds["describe"]),
    }
    print(kind, d_sae, {name: round(figure, 2) for name, figure in figures.items()}, flush=True)
    settings = {"n_tokens": plan.record["n_tokens"], "n_events": n_events, "d_in": D_IN, "n_times": N_TIMES}
    save_record(f"encoding-{kind}-{d_sae}", figures, settings={**settings, "threads": torch.get_num_threads()})
    assert figures["whole_ratio_median"] < GUARD
