"""Small corpora and their plans."""

import json
from pathlib import Path

import numpy as np

from featlas.domain import Cause
from featlas.pipeline.plan import Plan, make_plan
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.specs import ExtractSpec
from featlas.store import artifacts

WORDS = ["the", "cat", "sat", "on", "mat", "dog", "log", "👩🏽‍🚀", "عربي", "中文", "def", "return"]


def make_texts(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return [f"{i}: " + " ".join(rng.choice(WORDS, rng.integers(1, 60))) for i in range(n)]


def write_corpus(folder: Path, texts, n_files=3) -> str:
    """JSONL files that hold the texts in order."""
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(n_files):
        part = texts[n * len(texts) // n_files : (n + 1) * len(texts) // n_files]
        lines = [json.dumps({"text": text, "n": len(text)}) for text in part]
        (folder / f"{n}.jsonl").write_text("".join(line + "\n" for line in lines))
    return str(folder)


def spec_of(*text, **fields):
    return ExtractSpec(**{"text": text, "model": "m", "sae": "s", "ctx_len": 16, "block_slots": 256, **fields})


def plan_of(spec, tokenizer, folder, *, prepend_bos=True):
    return make_plan(spec, tokenizer, prepend_bos, folder, NoProgress(), NeverStop())


def texts_of(plan: Plan, tokenizer) -> list[str]:
    """Each document's text, read back from the slots."""
    corpus = plan.corpus()
    document = plan.document_of_slot(np.arange(len(corpus.token_ids)))
    np.testing.assert_array_equal(corpus.cause == Cause.COUNTED, document >= 0)
    return [
        tokenizer.decode_bytes(corpus.token_ids[document == d]).decode(errors="replace")
        for d in range(plan.n_documents)
    ]


def all_bytes(plan: Plan) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in artifacts.plan_path(plan.folder).iterdir() if path.suffix != ".json"
    }


class Counting:
    """A tokenizer that counts what it is given."""

    def __init__(self, tokenizer):
        self._tokenizer = tokenizer
        self.n_characters = 0

    def encode_batch(self, texts):
        self.n_characters += sum(map(len, texts))
        return self._tokenizer.encode_batch(texts)

    def __getattr__(self, name):
        return getattr(self._tokenizer, name)


def assert_nothing_left(folder: Path):
    assert not folder.exists() or list(folder.iterdir()) == []
