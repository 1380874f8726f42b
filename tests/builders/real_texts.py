"""Texts in many scripts, with code, chat markers and repetitions, and slices of the demo corpus between them."""

import gzip
import json
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DEMO_CORPUS = REPOSITORY / "data" / "demo-corpus.jsonl.gz"

SCRIPTS = (
    "Grüße aus München! Ça va? El niño comió piñas. 👩🏽‍🚀🚀🙂🙂 naïve café — “quotes” …",
    "كان الطقس جميلا في القاهرة أمس، وذهب الأطفال إلى المدرسة. القرآن الكريم، والكتاب المقدس.",
    "今天天气很好，我们去公园散步。他说：“你好，世界！” 這是繁體字。日本語の文章もあります。한국어도 있습니다.",
    "def add(first: int, second: int) -> int:\n    return first + second\n\n\n"
    "for i in range(9):\n\tprint(add(i, i**2))\n",
    'SELECT name, COUNT(*) FROM features WHERE n_fires > 10 GROUP BY name;\n{"key": [1, 2.5, null], "ok": true}\n',
    "the the the the the the the the and and and and and. The same line again.\nThe same line again.\nThe same line.\n",
)
CHAT = (
    "<|im_start|>system\nAnswer in one short sentence.<|im_end|>\n<|im_start|>user\nWhat is 2 + 2? 🙂<|im_end|>\n"
    "<|im_start|>assistant\nIt is 4.<|im_end|>\n"
)


def real_documents(n_demo: int, characters: int = 900) -> list[str]:
    """The texts above, and slices of documents spread over the demo corpus."""
    with gzip.open(DEMO_CORPUS, "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    step = max(1, len(texts) // n_demo)
    return [*SCRIPTS, CHAT, *(text[:characters] for text in texts[::step][:n_demo])]
