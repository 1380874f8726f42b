"""A model and an SAE whose every feature is known beforehand, so that a whole run can be held to exact answers.

The model is a tiny Llama, which has no position embeddings: its first residual stream is a function of the token id
alone. Embeddings are multiples of 1/16, so that every product and sum of the encoder is exact in float32 and no order
of summation matters. One token has an embedding of enormous norm: it is an attention sink wherever it stands.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import LlamaForCausalLM

from featlas.exchange.saelens_files import save_saelens
from featlas.testing.tiny_models import BOS, save_tiny_model

HOOK_POINT = "blocks.0.hook_resid_pre"
ONE_TOKEN, DEAD, DENSE, TWIN, OTHER_TWIN, BOS_ONLY, SINK_ONLY, ROLE = 7, 8, 9, 10, 11, 12, 13, 14
N_PLANTED = 16
"""Features from here on, 2 · d_model of them, copy one coordinate each (+x or −x): they reconstruct x exactly."""

TOKEN, SINK_TOKEN, ROLE_TOKEN = " the", "~", "<|user|>"
SINK_FACTOR = 64
TWIN_SHARE = 0.1  # of the vocabulary


@dataclass(frozen=True)
class Planted:
    """The folders of the model and the SAE, and what each planted feature's activation is on each token id.

    `activations` [n_vocab, d_sae] are exact in float32; a feature fires where its value is above 0.
    """

    model: Path
    sae: Path
    activations: NDArray[np.float32]
    ids: dict[str, int]


def plant(folder: Path) -> Planted:
    """Write the model and the SAE below a folder.

    Feature 7 fires on the token " the" only, 8 never, 9 everywhere (always 1), 10 and 11 on the same tenth of the
    vocabulary, 12 on the BOS that stands in front of each context, 13 on the sink token "~", 14 on the role token
    "<|user|>"; the others below 16 are dead. Raises ValueError where a token has no direction of its own.
    """
    model_folder = save_tiny_model(folder / "model")
    model: Any = LlamaForCausalLM.from_pretrained(model_folder)
    ids = _token_ids(model_folder)
    embeddings = _exact(model.get_input_embeddings().weight.detach() * model.config.hidden_size**0.5)
    embeddings[ids[SINK_TOKEN]] *= SINK_FACTOR
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.from_numpy(embeddings))
    model.save_pretrained(model_folder)
    W_enc, b_enc, threshold = _encoder(embeddings, ids)
    pre = embeddings @ W_enc + b_enc
    tensors = {"W_enc": W_enc, "b_enc": b_enc, "threshold": threshold, "W_dec": _decoder(embeddings.shape[1])}
    tensors["b_dec"] = np.zeros(embeddings.shape[1], dtype=np.float32)
    metadata = {"hook_name": HOOK_POINT, "prepend_bos": True}
    shape = {"d_in": W_enc.shape[0], "d_sae": W_enc.shape[1]}
    save_saelens(folder / "sae", tensors, {"architecture": "jumprelu", **shape, "metadata": metadata})
    return Planted(model_folder, folder / "sae", np.where(pre > threshold, np.maximum(pre, 0), 0), ids)


def _token_ids(model_folder: Path) -> dict[str, int]:
    """Ids of the tokens that matter, by their text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder / "tokenizer.json"))
    texts = (TOKEN, SINK_TOKEN, ROLE_TOKEN, BOS)
    found = {text: tokenizer.encode(text, add_special_tokens=False).ids for text in texts}
    if any(len(ids) != 1 for ids in found.values()):
        raise ValueError(f"not single tokens of the tiny tokenizer: {found}")
    return {text: ids[0] for text, ids in found.items()}


def _exact(embeddings: torch.Tensor) -> NDArray[np.float32]:
    """Multiples of 1/16 in [−4, 4]: a sum of a few hundred products of two of them is exact in float32."""
    return (embeddings * 16).round().clamp(-64, 64).div(16).numpy().astype(np.float32)


def _encoder(
    embeddings: NDArray[np.float32], ids: dict[str, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """W_enc [d_in, d_sae], b_enc and threshold [d_sae]."""
    d_in = embeddings.shape[1]
    W_enc = np.zeros((d_in, N_PLANTED + 2 * d_in), dtype=np.float32)
    b_enc, threshold = np.zeros((2, W_enc.shape[1]), dtype=np.float32)
    one_token = {ONE_TOKEN: TOKEN, BOS_ONLY: BOS, SINK_ONLY: SINK_TOKEN, ROLE: ROLE_TOKEN}
    ordinary = np.delete(embeddings, ids[SINK_TOKEN], axis=0)
    for feature, text in one_token.items():
        W_enc[:, feature], threshold[feature] = _pick(embeddings, ids[text], ids[SINK_TOKEN])
    b_enc[DENSE] = 1.0
    # A direction that the sink token points away from, so that the twins do not fire on it.
    twin = -np.sign(embeddings[ids[SINK_TOKEN]])
    W_enc[:, TWIN] = W_enc[:, OTHER_TWIN] = twin
    threshold[[TWIN, OTHER_TWIN]] = np.quantile(ordinary @ twin, 1 - TWIN_SHARE)
    W_enc[:, N_PLANTED : N_PLANTED + d_in] = np.eye(d_in)
    W_enc[:, N_PLANTED + d_in :] = -np.eye(d_in)
    return W_enc, b_enc, threshold


def _pick(embeddings: NDArray[np.float32], token: int, sink: int) -> tuple[NDArray[np.float32], float]:
    """A direction and a threshold that only this token exceeds: its own embedding, turned away from the sink's."""
    direction = embeddings[token].copy()
    if token != sink:
        towards = np.sign(embeddings[sink])
        while direction @ embeddings[sink] > 0:
            direction -= towards / 16
    scores = embeddings @ direction
    rest = np.delete(scores, token)
    if scores[token] <= rest.max():
        raise ValueError(f"token {token} has no direction of its own; choose another seed of the tiny model")
    return direction, float((scores[token] + rest.max()) / 2)


def _decoder(d_in: int) -> NDArray[np.float32]:
    """W_dec [d_sae, d_in]: the planted features write nothing, the others give x back."""
    eye = np.eye(d_in, dtype=np.float32)
    return np.concatenate([np.zeros((N_PLANTED, d_in), dtype=np.float32), eye, -eye])
