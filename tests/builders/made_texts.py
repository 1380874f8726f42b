"""Small corpora for whole runs: made texts whose tokens are known, and real ones in many scripts."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

SENTENCES = """
the cat sat on the mat and the dog sat on a log president of the Senate House range number raining nothing print members
spoke first second return there they could do
"""
WORDS = SENTENCES.split()
ODD = ("~", "Übermut", "猫", "🙂", "العربية", "x = 1\n", "\tfor", "<|user|>", "~~", "“quoted”")
CHAT = "<|user|> where is the cat ? <|assistant|> on the mat . <|user|> and the dog ? <|assistant|> on the log ."


def made_documents(n: int = 60, seed: int = 1) -> list[str]:
    """Texts of 0 to 120 words, with odd ones in between; an empty one, a short one, two that are equal, and a chat."""
    chance = random.Random(seed)
    texts = ["", "the", CHAT]
    for _ in range(n - 5):
        words = chance.choices(WORDS, k=chance.randint(2, 120))
        for _ in range(chance.randint(0, 3)):
            words.insert(chance.randrange(len(words)), chance.choice(ODD))
        texts.append(" ".join(words))
    return [*texts, texts[3], texts[4]]


def save_documents(path: Path, texts: Sequence[str]) -> Path:
    """As JSONL, a line per document, with its number as id and something for the metadata."""
    lines = [json.dumps({"id": f"d{n}", "text": text, "topic": f"t{n % 3}"}) for n, text in enumerate(texts)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
