"""The plainest corpus there is, for tests that need many contexts and nothing in them."""

import numpy as np

from featlas.core.corpus import CorpusArrays


def one_token_contexts(n: int) -> CorpusArrays:
    """n documents of the label split, each of one context with the one token 0."""
    zeros = np.zeros(n, dtype=np.uint8)
    return CorpusArrays(
        token_ids=zeros.astype(np.uint32),
        cause=zeros,
        context_of_slot=np.arange(n, dtype=np.uint32),
        context_slot=np.arange(n, dtype=np.int64),
        context_n=np.ones(n, dtype=np.int64),
        context_document=np.arange(n, dtype=np.uint32),
        context_token_offset=zeros.astype(np.uint32),
        document_split=zeros,
        document_group=zeros,
        document_key=np.arange(n, dtype=np.uint64),
        n_vocab=1,
    )
