"""A stored run whose contexts hold what breaks pages: graphemes of many tokens, many scripts, markup, long tokens."""

from pathlib import Path

import numpy as np
from tests.builders.stored_runs import EDGES, make_batch, make_columns

from featlas.domain import ContextBatch, ExampleBand, SnapshotHeader, Split
from featlas.store.registry import (
    CorpusFacts,
    DocumentFacts,
    ModelFacts,
    SaeFacts,
    add_documents,
    register_corpus,
    register_model,
    register_sae,
    register_tokenizer,
)
from featlas.store.runs import RunFacts, create_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter

TEXTS = {
    "emoji family": "we are 👩‍👩‍👧‍👦 and 👍🏽 here",
    "flags": "from 🇩🇪 to 🇯🇵 today",
    "arabic": "قال القاضي إن المحكمة",
    "hebrew": "בית המשפט קבע כי",
    "devanagari": "न्यायालय ने क्षमा की",
    "chinese": "法院裁定该法律无效",
    "combining": "a\u0301e\u0302\u0323o\u0308 Z\u0335\u0321a\u0334l\u0337g\u0336o\u0338",
    "tabs and newlines": "def f():\n\treturn\t1\n\n\n  end",
    "markup": '<script>document.title="broken"</script><img src=x onerror=alert(1)> &amp; &lt;',
    "long token": "x" + "w" * 2000 + "y",
    "mixed directions": "he said قال 12 then שלום!",
    "control": "nul\x01 bell\x07 del\x7f end",
}
"""By what is odd about them. Every byte of the first ten characters is a token; the rest goes by characters."""

N_BYTE_TOKENS = 24


def cut(text: str) -> list[bytes]:
    """Tokens: single bytes at first (as a byte fallback gives them), then characters; a long run of w is one token."""
    content = text.encode()
    long = content.find(b"w" * 2000)
    if long >= 0:
        return [content[:long], content[long : long + 2000], content[long + 2000 :]]
    first = content[:N_BYTE_TOKENS]
    while first and (content[len(first) : len(first) + 1] or b"a")[0] & 0xC0 == 0x80:
        first = content[: len(first) + 1]
    rest = content[len(first) :].decode()
    return [bytes([byte]) for byte in first] + [character.encode() for character in rest]


def build_scripts_run(folder: Path) -> Store:
    """A store at folder/featlas.db; feature i fires on every second token of the i-th text, strongest in the middle."""
    store = Store.open(f"sqlite:///{folder / 'featlas.db'}")
    contexts = [cut(text) for text in TEXTS.values()]
    vocabulary = sorted({token for tokens in contexts for token in tokens})
    ids = {token: at for at, token in enumerate(vocabulary)}
    n = len(contexts)
    tokenizer = register_tokenizer(store, "scripts tokenizer", vocabulary)
    model = register_model(store, ModelFacts("scripts model", "tiny", tokenizer, d_model=8, n_layers=2))
    sae = register_sae(store, SaeFacts("scripts sae", "scripts", "topk", 8, n, 8, "blocks.1.hook_resid_post"))
    corpus = register_corpus(store, CorpusFacts("scripts corpus", "odd texts", n, sum(map(len, contexts))))
    add_documents(store, corpus, [DocumentFacts(at, "odd.txt", str(at), Split.LABEL) for at in range(n)])
    run = create_run(store, RunFacts(model, sae, corpus, spec={}, spec_hash="a" * 64, name="odd texts"))
    n_tokens = sum(map(len, contexts))
    header = SnapshotHeader(False, n, n, n, n_tokens, n_tokens, {"bos": 0, "sink": 0}, EDGES, {"l0": 1.0, "fvu": 0.1})
    batch = make_batch(0, n)
    batch.examples[:] = [_top_band(at, len(tokens)) for at, tokens in enumerate(contexts)]
    batch.top_tokens.token_id[:] = np.tile(np.arange(3, dtype=np.uint32), n)
    writer = SnapshotWriter(store, run.id, header, np.full(len(vocabulary), 100, dtype=np.int64))
    writer.add_contexts(
        ContextBatch(
            context_index=np.arange(n),
            document_index=np.arange(n),
            token_offset=np.zeros(n, dtype=np.int64),
            indptr=np.concatenate([[0], np.cumsum([len(tokens) for tokens in contexts])]).astype(np.int64),
            token_ids=np.array([ids[token] for tokens in contexts for token in tokens], dtype=np.uint32),
        )
    )
    writer.add_features(batch)
    writer.add_columns(make_columns(batch, n_tokens, n))
    writer.publish()
    return store


def _top_band(feature: int, n_tokens: int) -> ExampleBand:
    positions = np.arange(1, n_tokens, 2, dtype=np.uint16)
    values = np.linspace(0.5, 4.0, len(positions)).astype(np.float32)
    peak = len(positions) // 2
    values[peak] = 8.0
    return ExampleBand(
        feature_index=feature,
        band="top",
        n_in_band=1,
        context_index=np.array([feature], dtype=np.uint32),
        split=np.zeros(1, dtype=np.uint8),
        peak_position=positions[peak : peak + 1],
        n_similar=np.ones(1, dtype=np.uint32),
        indptr=np.array([0, len(positions)], dtype=np.uint32),
        position=positions,
        value=values,
    )
