"""Training from texts to an SAE on disk: the card's figures are those of documents that were never trained on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from featlas.core.hashing import hash_bytes
from featlas.engine.language_model import LanguageModel
from featlas.errors import ConflictError, ExternalError, InputError, JobCancelled
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.pipeline.registry import JobContext
from featlas.pipeline.train import run_training
from featlas.sources.sae_files import load_sae
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import TrainSpec
from featlas.testing.tiny_models import save_tiny_model

CTX_LEN, HELD_OUT = 24, 0.3
WORDS = (
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "while",
    "some",
    "old",
    "dog",
    "ran",
    "past",
    "it",
    "rained",
    "for",
    "days",
)


def make_texts(n: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [" ".join(generator.choice(WORDS, size=generator.integers(3, 60))) for _ in range(n)]


TEXTS = make_texts(80)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("training") / "model", "llama")


@pytest.fixture
def make_spec(model_folder: Path, tmp_path: Path) -> Callable[..., TrainSpec]:
    def make(texts: list[str] = TEXTS, **changes: Any) -> TrainSpec:
        path = tmp_path / f"texts-{hash_bytes(json.dumps(texts).encode())}.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        shared: dict[str, Any] = {
            "text": (str(path),),
            "model": str(model_folder),
            "hook_point": "blocks.1.hook_resid_post",
            "out": str(tmp_path / "sae"),
            "ctx_len": CTX_LEN,
            "d_sae": 48,
            "k": 6,
            "tokens": 12_800,
            "sae_batch": 128,
            "buffer_tokens": 1024,
            "learning_rate": 5e-3,
            "held_out": HELD_OUT,
        }
        return TrainSpec(**{**shared, **changes})

    return make


def train(spec: TrainSpec, stop: Any = None) -> dict[str, Any]:
    folder = Path(spec.out).parent
    context = JobContext(
        store=cast(Any, None),  # training publishes nothing
        artifacts_path=folder,
        cache_path=folder,
        device="cpu",
        threads=1,
        job_id=None,
        guard=lambda _session: None,
        progress=NoProgress(),
        stop=stop or NeverStop(),
    )
    return run_training(spec, context)


def is_held_out(text: str) -> bool:
    return hash_bytes(text.encode()) / 2**64 < HELD_OUT


def activations(model_folder: Path, texts: list[str]) -> Tensor:
    """Every position of every window of the texts, from the library's own hidden states. [n, d_model]."""
    model, tokenizer = LanguageModel.load(str(model_folder), device="cpu"), Tokenizer.load(model_folder)
    parts = []
    for ids in tokenizer.encode_batch(texts):
        for start in range(0, len(ids), CTX_LEN):
            window = torch.from_numpy(ids[start : start + CTX_LEN].astype(np.int64))[None]
            parts.append(model.model(window, output_hidden_states=True).hidden_states[2][0])
    return torch.cat(parts)


def kept_rows(folder: Path) -> np.ndarray:
    rows = np.concatenate([np.load(path) for path in sorted(folder.glob("*.npy"))]).astype(np.float32)
    return rows[np.lexsort(rows.T)]


@pytest.mark.parametrize(
    ("architecture", "saved_as", "sae_dtype"),
    [("topk", "topk", "float32"), ("batchtopk", "jumprelu", "float32"), ("batchtopk", "jumprelu", "float16")],
)
def test_the_cards_figures_are_those_of_the_saved_sae_on_held_out_documents(
    make_spec: Callable[..., TrainSpec], model_folder: Path, architecture: str, saved_as: str, sae_dtype: str
) -> None:
    card = train(make_spec(architecture=architecture, sae_dtype=sae_dtype))
    file = load_sae(str(Path(make_spec().out)))
    assert (file.architecture, file.hook_point, file.prepend_bos) == (saved_as, "blocks.1.hook_resid_post", False)
    assert file.config["metadata"]["training_card"] == json.loads(json.dumps(card))
    held_out = [text for text in TEXTS if is_held_out(text)]
    x = activations(model_folder, held_out)
    feature_acts = file.params.encode(x)
    error = (x.double() - file.params.reconstruct(x).double()).square().sum()
    assert card["fvu"] == pytest.approx(float(error / (x.double() - x.double().mean(0)).square().sum()), rel=1e-4)
    assert card["l0"] == pytest.approx(float((feature_acts > 0).sum(1).double().mean()), rel=1e-3)
    assert card["dead_share"] == pytest.approx(float((feature_acts == 0).all(0).double().mean()), abs=0.021)
    assert card["n_tokens_held_out"] == len(x)
    assert (card["n_documents"], card["n_documents_held_out"]) == (len(TEXTS), len(held_out))
    assert card["token_steps"] == 12_800
    assert file.claims["fvu"] == card["fvu"] < 0.7
    assert card["l0"] == pytest.approx(6, rel=0.25)


def test_held_out_documents_never_reach_the_trainer(
    make_spec: Callable[..., TrainSpec], model_folder: Path, tmp_path: Path
) -> None:
    card = train(make_spec(activations=str(tmp_path / "acts")))
    x = activations(model_folder, [text for text in TEXTS if not is_held_out(text)]).to(torch.float16)
    expected = x.numpy().astype(np.float32)
    found = kept_rows(tmp_path / "acts")
    assert card["n_distinct_tokens"] == len(found) == len(expected)
    np.testing.assert_allclose(found.sum(0), expected.sum(0), rtol=1e-3, atol=0.5)
    np.testing.assert_allclose(np.sort(found[:, 0]), np.sort(expected[:, 0]), rtol=2e-3, atol=2e-3)


def test_where_documents_are_joined_no_context_with_a_held_out_one_is_trained_on(
    make_spec: Callable[..., TrainSpec], tmp_path: Path
) -> None:
    """A joined context lets positions of one document see those of another."""
    card = train(make_spec(activations=str(tmp_path / "acts"), packing="packed"))
    n_tokens = len(kept_rows(tmp_path / "acts"))
    assert card["n_distinct_tokens"] == n_tokens
    apart = train(make_spec(packing="document"))
    assert 0 < n_tokens < apart["n_distinct_tokens"]
    assert 0 < card["n_tokens_held_out"] < apart["n_tokens_held_out"]


def test_kept_activations_are_read_again_instead_of_the_model(
    make_spec: Callable[..., TrainSpec], tmp_path: Path
) -> None:
    folder = tmp_path / "acts"
    spec = make_spec(activations=str(folder))
    first = train(spec)
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    weights = load_sae(spec.out).params.W_dec
    second = train(spec)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == times
    assert torch.equal(load_sae(spec.out).params.W_dec, weights)
    assert second["fvu"] == first["fvu"]
    for path in folder.glob("*.npy"):  # what is on the disk is what is learnt from
        np.save(path, np.load(path) * 1.5)
    train(spec)
    assert not torch.equal(load_sae(spec.out).params.W_dec, weights)


CHANGES: dict[str, dict[str, Any]] = {
    "hook_point": {"hook_point": "blocks.2.hook_resid_post"},
    "ctx_len": {"ctx_len": 23},
    "held_out": {"held_out": 0.2},
    "sink_norm_ratio": {"sink_norm_ratio": "off"},
    "packing": {"packing": "packed"},
    "lm_dtype": {"lm_dtype": "bfloat16"},
    "corpus_fingerprint": {"texts": make_texts(80, seed=1)},
}


def test_kept_activations_of_something_else_are_refused_by_field(
    make_spec: Callable[..., TrainSpec], tmp_path: Path
) -> None:
    folder = tmp_path / "acts"
    train(make_spec(activations=str(folder)))
    for field, changes in CHANGES.items():
        with pytest.raises(ConflictError, match=f"{folder} keeps other activations: .*another --activations") as caught:
            train(make_spec(activations=str(folder), **changes))
        # Another precision or packing is another model or corpus, too, and the first of them by name is said.
        assert str(caught.value).split(": ")[1].split(" is ")[0] in (field, "corpus_fingerprint", "model_fingerprint")
    manifest = json.loads((folder / "manifest.json").read_text())
    for field in (*CHANGES, "model_fingerprint"):
        (folder / "manifest.json").write_text(json.dumps({**manifest, field: "another"}))
        with pytest.raises(ConflictError, match=f"{field} is 'another' there and"):
            train(make_spec(activations=str(folder)))


def test_activations_whose_reading_was_cut_short_are_read_again(
    make_spec: Callable[..., TrainSpec], tmp_path: Path
) -> None:
    """The manifest comes last; parts without one, even more of them than are needed, are never learnt from."""
    folder = tmp_path / "acts"
    folder.mkdir()
    for part in ("00000.npy", "00001.npy"):
        np.save(folder / part, np.full((2000, 32), 1e4, np.float16))
    train(make_spec(activations=str(folder)))
    assert float(np.load(folder / "00000.npy").max()) < 1e4
    kept = load_sae(make_spec().out).params
    train(make_spec(activations=str(tmp_path / "fresh")))
    assert torch.equal(kept.W_dec, load_sae(make_spec().out).params.W_dec)


def test_texts_are_read_again_when_they_end(make_spec: Callable[..., TrainSpec]) -> None:
    card = train(make_spec())
    assert card["n_distinct_tokens"] < card["token_steps"] / 2


def test_a_cancelled_training_writes_no_sae(make_spec: Callable[..., TrainSpec], tmp_path: Path) -> None:
    class StopLater(NeverStop):
        n = 0

        def check(self) -> None:
            self.n += 1
            if self.n > 40:
                raise JobCancelled("cancelled by the test")

    with pytest.raises(JobCancelled):
        train(make_spec(), StopLater())
    assert list((tmp_path / "sae").glob("*")) == []


def test_too_few_documents_are_refused(make_spec: Callable[..., TrainSpec]) -> None:
    with pytest.raises(InputError, match=r"1 documents cannot be split with --held-out 0\.3; give more text"):
        train(make_spec([TEXTS[0]]))


@pytest.mark.parametrize("hook_point", ["blocks.9.hook_resid_post", "blocks.1.hook_middle"])
def test_a_hook_point_that_is_not_there_is_refused(make_spec: Callable[..., TrainSpec], hook_point: str) -> None:
    with pytest.raises(InputError, match=hook_point):
        train(make_spec(hook_point=hook_point))


def test_a_file_in_the_place_of_the_saes_folder_is_refused_at_once(
    make_spec: Callable[..., TrainSpec], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=f"--out {tmp_path}/file is a file; expected a folder"):
        train(make_spec(out=str(tmp_path / "file"), model="nowhere"))


def test_contexts_longer_than_the_models_positions_are_refused_before_the_training(
    make_spec: Callable[..., TrainSpec],
) -> None:
    with pytest.raises(InputError, match="--ctx-len"):
        train(make_spec(ctx_len=2000, tokens=10**9))


def test_a_place_that_cannot_be_written_is_refused_before_the_training(
    make_spec: Callable[..., TrainSpec], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExternalError, match=f"could not write {tmp_path}/file/sae"):
        train(make_spec(out=str(tmp_path / "file" / "sae"), tokens=10**9))


def test_training_goes_on_from_an_sae_and_the_card_says_from_which(make_spec: Callable[..., TrainSpec]) -> None:
    first = train(make_spec())
    start = make_spec().out
    again = train(make_spec(start=start, out=f"{start}-2", tokens=1280, learning_rate=1e-4))
    anew = train(make_spec(out=f"{start}-3", tokens=1280, learning_rate=1e-4))
    assert again["start"] == json.loads(json.dumps(first))
    assert again["fvu"] < anew["fvu"] - 0.1  # as many steps, from random directions
    assert "start" not in anew
    with pytest.raises(InputError, match=r"--start .* reads blocks\.1\.hook_resid_post, and --hook-point is"):
        train(make_spec(start=start, hook_point="blocks.0.hook_resid_post", out=f"{start}-4"))
