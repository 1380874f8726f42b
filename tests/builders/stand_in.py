"""A stand-in for a large model and corpus: tiny weights, but as many token ids and firings as the real thing."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from transformers import LlamaConfig, LlamaForCausalLM

from featlas.exchange.saelens_files import save_saelens
from featlas.testing.tiny_models import save_tiny_model

N_VOCAB = 49_152
D_MODEL = 32
L0 = 40
MEAN_LENGTH = 300
_OFFSET = 2.7  # of Zipf and Mandelbrot's law
_DOCUMENTS_PER_GROUP = 16


def save_stand_in(folder: Path, *, d_sae: int) -> dict[str, Any]:
    """Write a one-layer model of 49,152 token ids and a topk SAE with L0 = 40; gives `model` and `sae` for a spec."""
    model = save_tiny_model(folder / "model", n_layers=1)
    config = json.loads((model / "config.json").read_text())
    config["vocab_size"] = N_VOCAB
    LlamaForCausalLM(LlamaConfig(**config)).save_pretrained(model)
    chance = np.random.default_rng(0)
    W_enc = chance.standard_normal((D_MODEL, d_sae)).astype(np.float32)
    W_enc /= np.linalg.norm(W_enc, axis=0)
    tensors = {"W_enc": W_enc, "b_enc": np.zeros(d_sae, np.float32), "W_dec": W_enc.T.copy()}
    tensors["b_dec"] = np.zeros(D_MODEL, np.float32)
    metadata = {"hook_name": "blocks.0.hook_resid_post", "prepend_bos": False}
    config = {"architecture": "topk", "k": L0, "d_in": D_MODEL, "d_sae": d_sae, "metadata": metadata}
    save_saelens(folder / "sae", tensors, config)
    return {"model": str(model), "sae": str(folder / "sae"), "force": True}


def save_zipf_tokens(path: Path, n_tokens: int, seed: int = 0) -> Path:
    """Parquet with a row of token ids per document: ids by Zipf and Mandelbrot's law, all documents different."""
    chance = np.random.default_rng(seed)
    share = 1 / (np.arange(N_VOCAB) + _OFFSET)
    ends = np.cumsum(share / share.sum())
    schema = pa.schema({"tokens": pa.list_(pa.uint32())})
    n_written = 0
    with pq.ParquetWriter(path, schema) as writer:
        while n_written < n_tokens:
            lengths = np.maximum(1, chance.lognormal(np.log(MEAN_LENGTH) - 0.5, 1.0, _DOCUMENTS_PER_GROUP)).astype(int)
            documents = [np.minimum(np.searchsorted(ends, chance.random(n)), N_VOCAB - 1) for n in lengths.tolist()]
            writer.write_table(pa.table({"tokens": [d.astype(np.uint32) for d in documents]}, schema))
            n_written += int(lengths.sum())
    return path
