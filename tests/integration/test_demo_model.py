"""The packaged demo model, really converted: what lies in the cache is the whole model and opens as any local one."""

import hashlib
import json
import time
from pathlib import Path

import torch

from featlas.domain import HookPoint
from featlas.engine.language_model import LanguageModel
from featlas.sources.packaged_model import MODEL_NAME, converted_model, find_gguf
from featlas.sources.tokenizer import Tokenizer


def test_the_conversion_is_a_hub_cache_named_for_what_it_holds(smollm2_cache: Path, smollm2_folder: Path) -> None:
    gguf = find_gguf()
    assert gguf is not None
    revision = hashlib.sha256(gguf.read_bytes()).hexdigest()[:40]
    repository = smollm2_cache / "hub" / f"models--packaged--{MODEL_NAME}"
    assert smollm2_folder == repository / "snapshots" / revision
    assert (repository / "refs" / "main").read_text() == revision
    assert [path.name for path in (repository / "snapshots").iterdir()] == [revision]
    assert "quantization_config" not in json.loads((smollm2_folder / "config.json").read_text())


def test_a_second_conversion_only_looks(smollm2_cache: Path, smollm2_folder: Path) -> None:
    started = time.monotonic()
    assert converted_model(smollm2_cache) == str(smollm2_folder)
    assert time.monotonic() - started < 5


def test_the_converted_model_speaks(smollm2_folder: Path) -> None:
    torch.set_num_threads(1)
    model = LanguageModel.load(str(smollm2_folder), device="cpu")
    tokenizer = Tokenizer.load(smollm2_folder)
    assert (model.n_layers, model.d_model, model.n_vocab) == (30, 576, 49_152)
    assert {parameter.dtype for parameter in model.model.parameters()} == {torch.float32}
    assert LanguageModel.load(str(smollm2_folder), device="cpu").fingerprint == model.fingerprint
    ids = torch.from_numpy(tokenizer.encode_batch(["The capital of France is"])[0].astype("int64"))[None]
    assert tokenizer.decode_bytes(model.model(ids).logits[0, -1].argmax()[None].numpy()) == b" Paris"
    acts = model.activations(ids, [HookPoint.parse("blocks.14.hook_resid_post")])
    hidden = model.model(ids, output_hidden_states=True).hidden_states[15]
    assert torch.equal(next(iter(acts.values())), hidden)
