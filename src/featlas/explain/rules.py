"""Labels that follow from counts alone: features that are one token, or one place in the context.

Both shares have a bar, because either alone is cheap: a feature that fires on one token only may miss most of its
occurrences, and one that fires on all of them may fire on everything else too.
"""

import numpy as np

from featlas.core.positions import BUCKET_START
from featlas.explain.corpus_evidence import CorpusEvidence
from featlas.explain.evidence import FeatureEvidence, Found
from featlas.explain.phrases import quoted

P_TOKEN_GIVEN_FIRES = 0.9
P_FIRES_GIVEN_TOKEN = 0.8
MIN_FIRES = 10
"""Below this many events on the label split no share is known well enough to be a rule."""


def find_rule(feature: FeatureEvidence, corpus: CorpusEvidence) -> Found | None:
    """The rule that holds of a feature on the label split; None without one."""
    if feature.n_fires < MIN_FIRES:
        return None
    return next((found for found in (_single_token(feature, corpus), _position(feature, corpus)) if found), None)


def _passes(found: Found) -> bool:
    return found.recall >= P_TOKEN_GIVEN_FIRES and found.precision >= P_FIRES_GIVEN_TOKEN


def _single_token(feature: FeatureEvidence, corpus: CorpusEvidence) -> Found | None:
    at = int(np.argmax(feature.token_n_fires))
    token_id = int(feature.token_id[at])
    name = quoted(corpus.words.tokens[token_id])
    found = Found(
        semantic_label=f"the token {name}",
        category_label="Token > Single token",
        what=f"on the token {name}",
        detector={"kind": "tokens", "token_ids": [token_id]},
        n_fires=feature.n_fires,
        n_hit=int(feature.token_n_fires[at]),
        n_pattern=int(corpus.n_occurrences[token_id]),
    )
    return found if _passes(found) else None


def _position(feature: FeatureEvidence, corpus: CorpusEvidence) -> Found | None:
    """A bucket in which nearly all events lie; one that holds half of all positions says little."""
    bucket = int(np.argmax(feature.position_n_fires))
    n_pattern = int(corpus.position_n_tokens[bucket])
    if n_pattern >= 0.5 * corpus.n_tokens:
        return None
    first = int(BUCKET_START[bucket])
    last = 2 * first - 1 if first else 0
    where = f"position {first}" if last <= first else f"positions {first} to {last}"
    found = Found(
        semantic_label=f"{where} of the context",
        category_label="Position",
        what=f"at {where} of the context",
        detector={"kind": "position", "first": first, "last": max(first, last)},
        n_fires=feature.n_fires,
        n_hit=int(feature.position_n_fires[bucket]),
        n_pattern=n_pattern,
    )
    return found if _passes(found) else None
