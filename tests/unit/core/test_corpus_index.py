from collections import Counter
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders.plain_corpus import one_token_contexts
from tests.oracles import statistics
from tests.oracles.worlds import VOCAB, World, make_world, worlds

from featlas.core.corpus_index import count_totals, index_corpus
from featlas.core.near_miss import index_token_contexts
from featlas.core.probe import choose_probe


@settings(max_examples=40)
@given(worlds, st.sampled_from([1, 70, 1 << 20]))
def test_any_reading_counts_the_oracles_totals(world: World, n_slots: int):
    totals, corpus = count_totals(world.corpus, n_slots), world.corpus
    context = {slot: int(corpus.context_of_slot[slot]) for slot in world.counted()}
    groups = Counter(int(corpus.document_group[world.document(c)]) for c in context.values())
    buckets = Counter(
        (world.split(c), (slot - int(corpus.context_slot[c])).bit_length()) for slot, c in context.items()
    )
    assert len(context) == totals.n_tokens
    assert len(set(corpus.context_document.tolist())) == totals.n_documents
    assert [groups[g] for g in range(16)] == totals.group_n_tokens.tolist()
    assert [[buckets[split, b] for b in range(17)] for split in (0, 1)] == totals.bucket_n_tokens.tolist()
    expected = [[counter[t] for t in range(VOCAB)] for counter in statistics.occurrences(world)]
    assert expected == totals.n_occurrences.tolist()


def test_a_document_inside_others_contexts_cannot_fire_and_is_not_divided_by():
    corpus = one_token_contexts(6)
    packed = replace(corpus, context_document=np.array([0, 0, 2, 2, 2, 5], dtype=np.uint32))
    assert (6, 3) == (packed.n_documents, count_totals(packed).n_documents)


def test_the_index_holds_totals_probe_and_tokens_of_the_same_seed():
    corpus = make_world(5, "floats").corpus
    index = index_corpus(corpus, 3, 6, 2)
    np.testing.assert_array_equal(count_totals(corpus).n_occurrences, index.totals.n_occurrences)
    np.testing.assert_array_equal(choose_probe(corpus, 3, 6).slot, index.probe.slot)
    token_contexts = index_token_contexts(corpus, 3, index.totals.n_occurrences, 2)
    np.testing.assert_array_equal(token_contexts.slot, index.token_contexts.slot)


def test_the_index_of_a_run_holds_512_contexts_and_64_per_token():
    index = index_corpus(one_token_contexts(600), 0)
    assert (512, 64) == (len(index.probe.context), len(index.token_contexts.slot))
