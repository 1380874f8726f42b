"""A real language model labels features of the demo run: SmolLM2, behind a real server, held to a JSON schema."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.command import Featlas
from tests.llama import MODEL

SYSTEM = "You name what a feature of a language model stands for. You answer with JSON and use few words."
USER = """Texts in which the feature fires, at the marked words:
{examples}

Words on which it fires most:
{tokens}

Give a semantic_label of two to five words, a category_label of one word, an explanation of at most ten words, and a
confidence from 0 to 1, as in this answer for another feature:
{"semantic_label": "days of the week", "category_label": "Time", "explanation": "Fires on names of days.", \
"confidence": 0.8}
Fields: {answer_format}
"""


@dataclass(frozen=True)
class Labeled:
    """What came of asking a real model about n features."""

    result: dict[str, Any]

    @property
    def share_valid(self) -> float:
        """The share of features with an answer from which a label, or an abstention, could be read."""
        return (self.result["n_labeled"] + self.result["n_abstained"]) / self.result["n_features"]


def label_demo(home: Path, cache: Path, url: str, n_features: int) -> Labeled:
    """Run the demo on a small part of its corpus and ask the model about its n most frequent unlabeled features."""
    featlas = Featlas(home, {"FEATLAS_COMPATIBLE_BASE_URL": url})
    featlas.home.mkdir(parents=True)
    (featlas.home / "cache").symlink_to(cache)
    featlas.run("demo", "--no-serve", "--tokens", 3000)
    (featlas.home / "system.txt").write_text(SYSTEM, encoding="utf-8")
    (featlas.home / "user.txt").write_text(USER, encoding="utf-8")
    texts = ("--system-file", featlas.home / "system.txt", "--user-file", featlas.home / "user.txt")
    evidence = ("--n-top", 2, "--n-spread", 1, "--n-tokens", 3, "--window", 12)
    featlas.run("templates", "add", "small model", *texts, *evidence)
    trial = featlas.json("providers", "test", "compatible", "--model", MODEL)[0]
    assert trial["n_tokens_in"] > 0
    found = featlas.json("features", 1, "is:unlabeled -is:dead -is:dense", "--limit", n_features)
    query = "(" + " OR ".join(f"feature_index:{feature['feature_index']}" for feature in found) + ")"
    options = ("--template", "small model", "--model", MODEL, "--max-output-tokens", 90, "--concurrency", 2)
    done = featlas.json("label", 1, "--provider", "compatible", "--query", query, "--no-rules", *options)[-1]
    return Labeled(done)
