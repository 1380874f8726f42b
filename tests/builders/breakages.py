"""Inputs of an extraction that are broken in one way each, with the exit code and the words that must name it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file
from tests.builders.made_texts import made_documents, save_documents

from featlas.testing.planted_sae import Planted

INPUT, NOT_FOUND, CONFLICT, EXTERNAL = 2, 3, 4, 5


@dataclass
class Inputs:
    """A copy of good inputs, to be broken; `options` are further fields of the spec."""

    folder: Path
    model: Path
    sae: Path
    text: Path
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, folder: Path, planted: Planted) -> "Inputs":
        text = save_documents(folder / "good.jsonl", made_documents(20))
        return cls(folder, planted.model, Path(shutil.copytree(planted.sae, folder / "sae")), text)

    def spec(self) -> dict[str, Any]:
        places = {"model": str(self.model), "sae": str(self.sae), "text": (str(self.text),)}
        return {**places, "null_features": 4, **self.options}

    def arguments(self) -> list[object]:
        places = ["--model", self.model, "--sae", self.sae, "--text", self.text, "--null-features", 4]
        return [
            *places,
            *(part for name, value in self.options.items() for part in ("--" + name.replace("_", "-"), value)),
        ]

    def change_tensors(self, change: Callable[[dict[str, Any]], None]) -> None:
        tensors = load_file(self.sae / "sae_weights.safetensors")
        change(tensors)
        save_file(tensors, self.sae / "sae_weights.safetensors")

    def change_json(self, path: Path, **values: Any) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


Broken = tuple[int, tuple[str, ...]]


def missing_text(inputs: Inputs) -> Broken:
    inputs.text = inputs.folder / "nowhere.jsonl"
    return NOT_FOUND, ("nowhere.jsonl",)


def unknown_suffix(inputs: Inputs) -> Broken:
    inputs.text = inputs.folder / "text.docx"
    inputs.text.write_text("text")
    return INPUT, ("text.docx", ".jsonl")


def empty_file(inputs: Inputs) -> Broken:
    inputs.text.write_text("")
    return INPUT, ("good.jsonl", "no document with a token")


def empty_documents(inputs: Inputs) -> Broken:
    save_documents(inputs.text, ["", ""])
    return INPUT, ("good.jsonl", "no document with a token")


def broken_jsonl(inputs: Inputs) -> Broken:
    lines = inputs.text.read_text().splitlines()
    inputs.text.write_text("\n".join([*lines[:6], lines[6][:-9], *lines[7:]]))
    return INPUT, ("good.jsonl:7", "not JSON")


def not_utf8(inputs: Inputs) -> Broken:
    inputs.text = inputs.folder / "latin.txt"
    inputs.text.write_bytes("Übermut".encode("latin-1"))
    return INPUT, ("latin.txt", "not UTF-8 at byte 0")


def no_such_sae(inputs: Inputs) -> Broken:
    inputs.sae = inputs.folder / "no-sae"
    return NOT_FOUND, ("no-sae",)


def wrong_d_in(inputs: Inputs) -> Broken:
    def widen(tensors: dict[str, Any]) -> None:
        tensors["W_enc"] = np.concatenate([tensors["W_enc"]] * 2)
        tensors["W_dec"] = np.concatenate([tensors["W_dec"]] * 2, axis=1)
        tensors["b_dec"] = np.concatenate([tensors["b_dec"]] * 2)

    inputs.change_tensors(widen)
    inputs.change_json(inputs.sae / "cfg.json", d_in=64)
    return INPUT, (str(inputs.sae), "64", "blocks.0.hook_resid_pre", "32")


def contradicting_config(inputs: Inputs) -> Broken:
    inputs.change_json(inputs.sae / "cfg.json", d_sae=81)
    return INPUT, ("d_sae", "81", "80")


def nan_weights(inputs: Inputs) -> Broken:
    inputs.change_tensors(lambda tensors: tensors["W_enc"].__setitem__((3, 5), np.nan))
    return INPUT, ("W_enc", "NaN", str(inputs.sae))


def truncated_safetensors(inputs: Inputs) -> Broken:
    path = inputs.sae / "sae_weights.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    return INPUT, (str(path), "truncated")


def missing_tensor(inputs: Inputs) -> Broken:
    inputs.change_tensors(lambda tensors: tensors.pop("b_dec"))
    return INPUT, ("sae_weights.safetensors", "b_dec")


def missing_config(inputs: Inputs) -> Broken:
    (inputs.sae / "cfg.json").unlink()
    return INPUT, ("cfg.json", "missing")


def unknown_architecture(inputs: Inputs) -> Broken:
    inputs.change_json(inputs.sae / "cfg.json", architecture="magic")
    return INPUT, ("magic", "jumprelu")


def unknown_model_architecture(inputs: Inputs) -> Broken:
    inputs.model = Path(shutil.copytree(inputs.model, inputs.folder / "model"))
    inputs.change_json(inputs.model / "config.json", model_type="magic", architectures=["MagicForCausalLM"])
    return INPUT, (str(inputs.model),)


def truncated_model(inputs: Inputs) -> Broken:
    inputs.model = Path(shutil.copytree(inputs.model, inputs.folder / "model"))
    path = inputs.model / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    return INPUT, (str(inputs.model),)


def missing_model(inputs: Inputs) -> Broken:
    inputs.model = inputs.folder / "no-model"
    return NOT_FOUND, ("no-model",)


def unknown_hook_point(inputs: Inputs) -> Broken:
    inputs.options = {"hook_point": "blocks.0.hook_magic"}
    return INPUT, ("blocks.0.hook_magic", "hook_resid_post")


def a_layer_that_is_not_there(inputs: Inputs) -> Broken:
    inputs.options = {"hook_point": "blocks.99.hook_resid_post"}
    return INPUT, ("blocks.99.hook_resid_post", "layers 0 … 2")


def ctx_len_0(inputs: Inputs) -> Broken:
    inputs.options = {"ctx_len": 0}
    return INPUT, ("--ctx-len", "0")


def ctx_len_without_room(inputs: Inputs) -> Broken:
    inputs.options = {"ctx_len": 1}
    return INPUT, ("ctx_len 1", "BOS")


def more_tokens_than_positions(inputs: Inputs) -> Broken:
    inputs.options = {"ctx_len": 10_000}
    return INPUT, ("contexts of 10000 tokens", "positions", "--ctx-len")


def a_place_beside_the_known_ones(inputs: Inputs) -> Broken:
    inputs.options = {"hook_point": "blocks.0.attn.hook_in"}
    return INPUT, ("blocks.0.attn.hook_in", "hook_mlp_in")


def a_name_of_digits(inputs: Inputs) -> Broken:
    inputs.options = {"name": "12"}
    return INPUT, ("'12'",)


def an_unknown_option(inputs: Inputs) -> Broken:
    inputs.options = {"magic": "1"}
    return INPUT, ("--magic",)


def a_number_that_is_none(inputs: Inputs) -> Broken:
    inputs.options = {"tokens": "many"}
    return INPUT, ("--tokens", "many")


def a_wrong_choice(inputs: Inputs) -> Broken:
    inputs.options = {"packing": "loose"}
    return INPUT, ("--packing", "loose")


def a_wrong_ratio(inputs: Inputs) -> Broken:
    inputs.options = {"sink_norm_ratio": "on"}
    return INPUT, ("--sink-norm-ratio", "on")


def a_wrong_token_column(inputs: Inputs) -> Broken:
    inputs.options = {"text_field": "body"}
    return INPUT, ("good.jsonl:1", "'body'", "'text'")


LISTED = (
    missing_text,
    empty_file,
    broken_jsonl,
    no_such_sae,
    wrong_d_in,
    nan_weights,
    truncated_safetensors,
    missing_config,
    unknown_architecture,
    unknown_model_architecture,
    missing_model,
    unknown_hook_point,
)
"""The commonest ones, which go through the command line too."""

OTHERS = (
    unknown_suffix,
    empty_documents,
    not_utf8,
    contradicting_config,
    missing_tensor,
    truncated_model,
    a_layer_that_is_not_there,
    ctx_len_without_room,
    more_tokens_than_positions,
    a_place_beside_the_known_ones,
    a_wrong_token_column,
)

OPTIONS = (an_unknown_option, a_number_that_is_none, a_wrong_choice, a_wrong_ratio, ctx_len_0, a_name_of_digits)
"""Values of options that are refused before anything is opened."""
