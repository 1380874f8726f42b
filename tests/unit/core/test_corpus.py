import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.oracles.worlds import World, make_corpus, worlds


@settings(max_examples=40)
@given(worlds, st.integers(0, 40))
def test_the_head_is_the_corpus_of_the_first_contexts(world: World, n_contexts: int):
    corpus = world.corpus
    n_contexts = min(n_contexts, corpus.n_contexts)
    n_slots = int(corpus.context_slot[n_contexts]) if n_contexts < corpus.n_contexts else len(corpus.token_ids)
    head = corpus.head(n_slots)
    assert n_contexts == head.n_contexts
    documents = corpus.context_document[:n_contexts].tolist()
    assert n_contexts == corpus.n_contexts or max(documents, default=-1) + 1 == head.n_documents
    for name in ("context_slot", "context_n", "context_document", "context_token_offset"):
        np.testing.assert_array_equal(getattr(corpus, name)[:n_contexts], getattr(head, name))
    for name in ("document_split", "document_group", "document_key"):
        np.testing.assert_array_equal(getattr(corpus, name)[: head.n_documents], getattr(head, name))
    for name in ("token_ids", "cause"):
        np.testing.assert_array_equal(getattr(corpus, name)[:n_slots], getattr(head, name))
    owner = [c if c < n_contexts else n_contexts for c in corpus.context_of_slot[:n_slots].tolist()]
    assert owner == head.context_of_slot.tolist()
    assert corpus.n_vocab == head.n_vocab


def test_the_head_of_more_than_there_is_is_all():
    corpus = make_corpus(3)
    assert corpus is corpus.head(len(corpus.token_ids))
    assert corpus is corpus.head(len(corpus.token_ids) + 5)
