"""Memory beyond model and SAE does not grow with the tokens read: on the real model, on a stand-in up to 2 million."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.builders.stand_in import save_stand_in, save_zipf_tokens
from tools.record import save_record

REPOSITORY = Path(__file__).parents[2]
MEGABYTE = 1_000_000
FLAT = 1.2


def measure(folder: Path, spec: dict[str, Any]) -> dict[str, Any]:
    """What `tests.builders.measured_run` says of an extraction in a process of its own."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.builders.measured_run", json.dumps(spec), str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=REPOSITORY)
    found = json.loads(done.stdout)
    phases = {name: round(peak / MEGABYTE) for name, peak in found["phases"].items()}
    print(
        f"{found['n_tokens']:,} tokens, L0 {found['l0']:.1f}: {found['peak'] / MEGABYTE:.0f} MB beyond model and SAE",
        phases,
    )
    return found


def test_on_the_real_model(tmp_path: Path, smollm2_folder: Path) -> None:
    data = REPOSITORY / "data"
    shared = {"model": str(smollm2_folder), "sae": str(data / "demo-sae"), "text": [str(data / "demo-corpus.jsonl.gz")]}
    small, large = (measure(tmp_path / str(n), {**shared, "tokens": n}) for n in (20_000, 200_000))
    save_record(
        "memory_real_model",
        {"at_20k_tokens_mb": small["peak"] / MEGABYTE, "at_200k_tokens_mb": large["peak"] / MEGABYTE},
        settings={"model": "smollm2", "sae": "demo-sae", "phases_at_200k": large["phases"]},
    )
    assert large["peak"] <= FLAT * small["peak"]


def test_on_a_stand_in(tmp_path: Path) -> None:
    """49,152 Zipf-distributed token ids, documents that all differ, 40 firings per token."""
    shared = {**save_stand_in(tmp_path, d_sae=2048), "tokens_field": "tokens"}
    sizes = {"20k": 20_000, "200k": 200_000, "2m": 2_000_000}
    peaks = {}
    for name, n in sizes.items():
        text = save_zipf_tokens(tmp_path / f"{name}.parquet", n)
        found = measure(tmp_path / name, {**shared, "text": [str(text)]})
        assert found["n_tokens"] >= 0.98 * n
        assert found["l0"] == pytest.approx(40, rel=0.01)
        peaks[name] = found["peak"] / MEGABYTE
    figures = {f"at_{name}_tokens_mb": peak for name, peak in peaks.items()}
    save_record("memory_stand_in", figures, settings={"d_sae": 2048, "l0": 40, "n_vocab": 49_152})
    assert peaks["200k"] <= FLAT * peaks["20k"]
    assert peaks["2m"] <= FLAT * peaks["200k"]
