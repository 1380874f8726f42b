"""A run of many features that nobody has labeled, as the real command makes it."""

from pathlib import Path

from tests.builders.made_texts import made_documents, save_documents
from tests.builders.many_features import save_many_features
from tests.e2e.command import Featlas

from featlas.testing.planted_sae import Planted

D_SAE = 400
RUN = "many"


def make_many(planted: Planted, folder: Path) -> Featlas:
    """A home with that run in it."""
    featlas = Featlas(folder / "home")
    sae = save_many_features(folder / "sae", planted, D_SAE)
    text = save_documents(folder / "made.jsonl", made_documents(80))
    where = ("--model", planted.model, "--sae", sae, "--text", text)
    featlas.run("extract", *where, "--ctx-len", 32, "--null-features", 0, "--force", "--name", RUN)
    return featlas
