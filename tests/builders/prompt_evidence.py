"""Evidence of a feature as a prompt shows it, made up: the tokens of an example are given one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

from featlas.domain import Example, PromptEvidence, Split, TokenCount


def make_example(
    tokens: Sequence[str], fires: Mapping[int, float] | None = None, *, peak: int | None = None, **changes: Any
) -> Example:
    """An example of these tokens that fires at these positions; silent without any."""
    fires = fires or {}
    spans, at = [], 0
    for token in tokens:
        spans.append((at, at + len(token)))
        at += len(token)
    if peak is None:
        peak = max(fires, key=lambda position: abs(fires[position]), default=0)
    fields: dict[str, Any] = {
        "band": "top" if fires else "near_miss",
        "document": 0,
        "context": 0,
        "token_offset": 0,
        "text": "".join(tokens),
        "token_spans": tuple(spans),
        "peak": peak,
        "positions": tuple(sorted(fires)),
        "values": tuple(fires[position] for position in sorted(fires)),
        "max_activation": fires.get(peak),
        "n_similar": 1,
        "split": Split.LABEL,
    }
    return Example(**{**fields, **changes})


def make_evidence(**changes: Any) -> PromptEvidence:
    """Evidence with two firing and two silent examples, every number of it known."""
    fields: dict[str, Any] = {
        "feature_index": 7,
        "model": "tiny",
        "hook_point": "blocks.1.hook_resid_post",
        "n_tokens": 20_000,
        "n_fires": 50,
        "n_contexts_fired": 31,
        "mean_activation": 2.0,
        "max_activation": 8.0,
        "tokens": (TokenCount(" court", 40, 60), TokenCount("\n", 10, 4000)),
        "top": (make_example(["In", " the", " court", " of", " law"], {2: 8.0, 4: 0.5}, context=11),),
        "spread": (make_example(["a", " court"], {1: 2.5}, band="octave:1", context=12),),
        "near_misses": (make_example([" court", " shoes"], context=13),),
        "non_firing": (make_example(["It", " rains"], band="non_firing", context=14),),
    }
    return PromptEvidence(**{**fields, **changes})
