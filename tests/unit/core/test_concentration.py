from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles import statistics
from tests.oracles.worlds import VOCAB, World, cuts, make_world, worlds
from tests.unit.core.test_token_table import describe as token_rows
from tests.unit.core.test_token_table import table_of

from featlas.core.aggregate import fold
from featlas.core.concentration import (
    DocumentPeaks,
    binary_auc,
    find_token_detectors,
    mode_share,
    pick_on_label_split,
    top_concentration,
    topic_auc,
    word_of_tokens,
)
from featlas.domain import Split, TokenRows


@given(st.lists(st.lists(st.integers(-1, 3), min_size=4, max_size=4), max_size=6), st.integers(1, 4))
def test_mode_share_is_the_commonest_ids_count(rows: list[list[int]], n_least: int):
    n_rated = np.array([sum(i >= 0 for i in row) for row in rows], dtype=np.int64)
    found = mode_share(np.array(rows, dtype=np.int64).reshape(-1, 4), n_rated, n_least)
    for i, row in enumerate(rows):
        counts = Counter(x for x in row if x >= 0)
        if n_rated[i] < n_least:
            assert np.isnan(found.share[i])
            assert found.mode[i] == -1
        else:
            mode = min(counts, key=lambda x: (-counts[x], x))
            assert (counts[mode] / n_rated[i], mode) == (found.share[i], found.mode[i])


def test_ids_that_are_never_known_are_never_the_same():
    found = mode_share(np.array([[-1, -1, -1]]), np.array([3]), 2)
    assert (0.0, -1) == (found.share[0], found.mode[0])
    assert 0 == len(mode_share(np.zeros((0, 3), dtype=np.int64), np.zeros(0, dtype=np.int64), 1).share)


def test_top_concentration_counts_peak_words_and_topics_of_the_first_k():
    corpus = make_world(3, "floats").corpus
    slots = np.flatnonzero(corpus.context_of_slot < corpus.n_contexts)[:18:3]
    topic = np.arange(corpus.n_documents) % 2
    topic[0] = -1
    top = np.stack([slots, np.where(np.arange(6) < 3, slots, -1)])
    word = np.arange(VOCAB) // 2
    found = top_concentration(top, corpus, word, topic, k=4)
    words = Counter(word[corpus.token_ids[slots[:4]]].tolist())
    topics = Counter(topic[corpus.context_document[corpus.context_of_slot[slots[:4]]]].tolist())
    topics[-1] = 0
    assert max(words.values()) / 4 == found.word.share[0]
    assert max(topics.values()) / 4 == found.topic.share[0]
    assert np.isnan([found.word.share[1], found.topic.share[1]]).all()


def test_a_full_row_of_one_word_and_topic_is_wholly_concentrated():
    corpus = make_world(3, "floats").corpus
    slot = int(corpus.context_slot[-1])
    found = top_concentration(np.full((1, 20), slot), corpus, np.arange(VOCAB) + 7, np.full(corpus.n_documents, 2))
    assert (1.0, int(corpus.token_ids[slot]) + 7) == (found.word.share[0], found.word.mode[0])
    assert (1.0, 2) == (found.topic.share[0], found.topic.mode[0])


def test_twenty_documents_are_the_default():
    corpus = make_world(3, "floats").corpus
    first, last = int(corpus.context_slot[0]), int(corpus.context_slot[-1])
    assert corpus.context_document[0] != corpus.context_document[corpus.n_contexts - 1]
    rows = np.array([[first] * 20 + [last], [first] * 19 + [-1, -1]])
    found = top_concentration(rows, corpus, np.arange(VOCAB), np.arange(corpus.n_documents))
    np.testing.assert_array_equal([1.0, np.nan], found.topic.share)


def test_spellings_of_a_word_are_one_word_and_spaces_and_broken_characters_are_their_own():
    tokens = [b" Court", b"court", b"COURT\n", b" ", b"\n", b"", "É".encode(), " é".encode(), b"\xc3", b"\xc3", b"co"]
    assert [0, 0, 0, 1, 2, 3, 4, 4, 5, 5, 6] == word_of_tokens(tokens).tolist()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_binary_auc_is_the_auc_of_zeros_and_ones(tokens: list[tuple[bool, bool]]):
    positive = [float(says) for says, is_target in tokens if is_target]
    negative = [float(says) for says, is_target in tokens if not is_target]
    counts = (np.array([int(sum(positive))]), np.array([int(sum(positive + negative))]), np.array([len(positive)]))
    actual = binary_auc(*counts, len(tokens))[0]
    if positive and negative:
        assert actual == pytest.approx(statistics.auc(positive, negative))
    else:
        assert np.isnan(actual)


def detector_oracle(world: World, f: int, detects: str, n_least: int):
    occurs = statistics.occurrences(world)
    fires = [{s for s, _ in world.rows(f) if world.split(int(world.corpus.context_of_slot[s])) == i} for i in (0, 1)]
    slots = [[s for s in world.counted() if world.split(int(world.corpus.context_of_slot[s])) == i] for i in (0, 1)]

    def auc_of(token: int, split: int) -> float | None:
        pairs = [(s in fires[split], int(world.corpus.token_ids[s]) == token) for s in slots[split]]
        if detects == "feature":
            pairs = [(target, says) for says, target in pairs]
        positive = [float(says) for says, target in pairs if target]
        negative = [float(says) for says, target in pairs if not target]
        return statistics.auc(positive, negative) if positive and negative else None

    tokens = {int(world.corpus.token_ids[s]) for s, _ in world.rows(f)}
    rated = [
        (auc_of(t, 0), t)
        for t in sorted(tokens)
        if min(occurs[0][t], occurs[1][t]) >= n_least and auc_of(t, 0) is not None
    ]
    if not rated:
        return None
    best = max(auc for auc, _ in rated)
    choices = [t for auc, t in rated if auc > best - 1e-9]
    return {t: auc_of(t, 1) for t in choices}, fires[1]


@settings(max_examples=40)
@given(worlds, st.sampled_from(["token", "feature"]), st.integers(1, 4))
def test_the_best_token_is_picked_on_one_split_and_measured_on_the_other(world: World, detects, n_least: int):
    occurs = statistics.occurrences(world)
    n_occurrences = np.array([[counter[t] for t in range(VOCAB)] for counter in occurs])
    rows = token_rows(world, [], range(world.n_features))
    features = range(world.first, world.first + world.n_features)
    found = find_token_detectors(rows, features, n_occurrences, detects, n_least)
    for f in range(world.n_features):
        expected = detector_oracle(world, f, detects, n_least)
        if expected is None:
            assert found.token_id[f] == -1
            assert np.isnan([found.auc[f], found.p_fire_given_token[f], found.p_token_given_fire[f]]).all()
            continue
        choices, fires = expected
        token = int(found.token_id[f])
        assert token in choices
        assert found.auc[f] == pytest.approx(np.nan if choices[token] is None else choices[token], nan_ok=True)
        n_both = sum(int(world.corpus.token_ids[s]) == token for s in fires)
        assert found.p_fire_given_token[f] == pytest.approx(n_both / occurs[1][token])
        precision = n_both / len(fires) if fires else np.nan
        assert found.p_token_given_fire[f] == pytest.approx(precision, nan_ok=True)


def test_equally_good_tokens_go_by_token_id_and_rare_ones_do_not_qualify():
    rows = table_of([(8, 1, 12, 6), (8, 2, 12, 6), (8, 3, 9, 3)])
    n_occurrences = np.array([[60, 10, 10, 6], [60, 10, 10, 12]])
    found = find_token_detectors(rows, range(8, 9), n_occurrences)
    assert 1 == found.token_id[0]
    assert 0.6 == found.p_fire_given_token[0]
    assert 6 / 15 == found.p_token_given_fire[0]
    assert 2 == find_token_detectors(rows, range(8, 9), n_occurrences - np.array([[0, 1, 0, 0]])).token_id[0]


def test_by_default_firing_detects_the_token():
    rows = table_of([(8, 1, 12, 6)])
    n_occurrences = np.array([[60, 10, 10, 6], [60, 10, 10, 12]])
    default, token, feature = (
        find_token_detectors(rows, range(8, 9), n_occurrences, *detects).auc[0]
        for detects in ((), ("token",), ("feature",))
    )
    assert default == token != feature


def test_features_without_rows_have_no_detector():
    rows = table_of([(9, 1, 12, 6)])
    empty = TokenRows(**{name: value[:0] for name, value in vars(rows).items()})
    found = find_token_detectors(empty, range(8, 10), np.full((2, 4), 50))
    assert [-1, -1] == found.token_id.tolist()
    found = find_token_detectors(rows, range(8, 10), np.full((2, 4), 50))
    assert [-1, 1] == found.token_id.tolist()


def peaks_of(world: World, at: list[int]):
    aggregate = DocumentPeaks()
    fold(world.cut(at), world.corpus, aggregate)
    return aggregate.result()


def document_sizes(world: World, f: int) -> dict[int, float]:
    sizes: dict[int, float] = {}
    for context, (_, value) in world.peaks(f).items():
        sizes[world.document(context)] = max(abs(value), sizes.get(world.document(context), 0.0))
    return sizes


@settings(max_examples=40)
@given(worlds, cuts)
def test_document_peaks_are_the_oracles_under_any_cut(world: World, at: list[int]):
    rows = peaks_of(world, at)
    expected = [(f, d, s) for f in range(world.n_features) for d, s in sorted(document_sizes(world, f).items())]
    assert expected == list(zip(rows.feature.tolist(), rows.document.tolist(), rows.size.tolist(), strict=True))


@settings(max_examples=40)
@given(worlds, st.integers(1, 3), st.randoms(use_true_random=False))
def test_topic_auc_compares_every_pair_of_documents(world: World, n_least: int, random):
    n_documents = world.corpus.n_documents
    topic = np.array([random.randint(-1, 2) for _ in range(n_documents)])
    is_used = np.array([random.random() < 0.8 for _ in range(n_documents)])
    found = topic_auc(peaks_of(world, []), world.n_features, topic, is_used, n_least)
    n_topics = int(topic.max()) + 1
    assert (world.n_features, n_topics) == found.shape
    for f in range(world.n_features):
        sizes = document_sizes(world, f)
        used = [d for d in range(n_documents) if is_used[d] and topic[d] >= 0]
        for t in range(n_topics):
            inside = [sizes.get(d, 0.0) for d in used if topic[d] == t]
            outside = [sizes.get(d, 0.0) for d in used if topic[d] != t]
            if min(len(inside), len(outside)) < n_least:
                assert np.isnan(found[f, t])
            else:
                assert found[f, t] == pytest.approx(statistics.auc(inside, outside))


def test_no_known_topics_have_no_auc():
    world = make_world(2, "floats")
    unknown = np.full(world.corpus.n_documents, -1)
    found = topic_auc(peaks_of(world, []), world.n_features, unknown, unknown < 0, 1)
    assert (world.n_features, 0) == found.shape
    picked = pick_on_label_split(found, found)
    assert [-1] * world.n_features == picked.column.tolist()
    assert np.isnan(picked.value).all()


def test_what_is_best_on_the_label_split_is_measured_on_the_score_split():
    nan = np.nan
    label = np.array([[0.6, 0.9, 0.9], [0.9, 0.5, nan], [nan, nan, nan], [-2.0, -1.0, nan]])
    score = np.array([[0.1, 0.2, 0.3], [nan, 0.4, 0.9], [0.1, 0.1, 0.1], [0.5, 0.6, 0.7]])
    picked = pick_on_label_split(label, score)
    np.testing.assert_array_equal([0.2, 0.4, nan, 0.6], picked.value)
    assert [1, 1, -1, 1] == picked.column.tolist()
    assert 0 == Split.LABEL
