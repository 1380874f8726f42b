"""Whole runs that several files look at: made once per session by the real command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.command import Featlas
from tests.oracles import planted_counts
from tokenizers import Tokenizer

from featlas.testing.planted_sae import SINK_TOKEN, Planted, plant
from featlas.testing.tiny_models import BOS

CTX_LEN = 32


@dataclass(frozen=True)
class PlantedRun:
    """A finished run over a planted SAE, and what it must have found."""

    featlas: Featlas
    planted: Planted
    text: Path
    documents: list[str]
    printed: dict[str, Any]

    @property
    def run(self) -> int:
        return self.printed["run"]

    @property
    def n_documents(self) -> int:
        """Those that are read: an empty one is none."""
        return sum(1 for text in self.documents if text.strip())

    def tokens(self) -> list[list[int]]:
        """Token ids of each document, by the tokenizers library alone."""
        tokenizer = Tokenizer.from_file(str(self.planted.model / "tokenizer.json"))
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in self.documents]

    def expected(self, *, sinks_count: bool = False) -> planted_counts.Expected:
        ids = self.planted.ids
        sink = None if sinks_count else ids[SINK_TOKEN]
        return planted_counts.count(self.planted, self.tokens(), CTX_LEN, bos=ids[BOS], sink=sink)

    def spec(self, text: Path | None = None) -> list[object]:
        """The arguments of the extraction."""
        where = ("--model", self.planted.model, "--sae", self.planted.sae, "--text", text or self.text)
        return [*where, "--ctx-len", CTX_LEN, "--null-features", 16]


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def planted_run(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> PlantedRun:
    folder = tmp_path_factory.mktemp("planted-run")
    documents = made_documents()
    run = PlantedRun(Featlas(folder / "home"), planted, save_documents(folder / "made.jsonl", documents), documents, {})
    printed = run.featlas.json("extract", *run.spec(), "--name", "planted")[-1]
    return PlantedRun(run.featlas, planted, run.text, documents, printed)
