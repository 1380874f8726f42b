import numpy as np
import pytest
from tests.builders.label_worlds import corpus_of, ids

from featlas.core.positions import N_BUCKETS
from featlas.explain.evidence import FeatureEvidence
from featlas.explain.rules import find_rule

N = 100
CORPUS = corpus_of([ids(" tennis") * N, ids(" the") * 900])


def fires(on_tennis: int, elsewhere: int) -> FeatureEvidence:
    counts = {ids(" tennis")[0]: on_tennis, ids(" the")[0]: elsewhere}
    token_id = np.array([token for token in sorted(counts) if counts[token]], dtype=np.int64)
    n_fires = np.array([counts[token] for token in token_id.tolist()], dtype=np.int64)
    return FeatureEvidence(0, token_id, n_fires, np.zeros(N_BUCKETS, dtype=np.int64), [])


@pytest.mark.parametrize(
    ("on_tennis", "elsewhere", "holds"),
    [
        (100, 0, True),
        (80, 0, True),
        (79, 0, False),  # at less than 0.8 of the token's places
        (90, 10, True),
        (90, 11, False),  # less than 0.9 of the firings
        (0, 0, False),
    ],
)
def test_a_single_token_needs_both_shares(on_tennis: int, elsewhere: int, holds: bool):
    assert holds == (find_rule(fires(on_tennis, elsewhere), CORPUS) is not None)


def test_few_firings_make_no_rule():
    corpus = corpus_of([ids(" tennis") * 9, ids(" the") * 90])
    assert find_rule(fires(9, 0), corpus) is None
    corpus = corpus_of([ids(" tennis") * 10, ids(" the") * 90])
    assert find_rule(fires(10, 0), corpus) is not None
