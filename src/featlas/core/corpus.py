"""The tokenised corpus of a run as flat arrays, so that every statistic addresses a token by one integer, its slot.

A *slot* is the address of a token in the run: contexts lie one after another, none crosses a block boundary (a block is
a fixed number of slots), and the slots left over at the end of a block are gaps.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class CorpusArrays:
    """Token slots, contexts and documents; contexts are in slot order, documents in plan order.

    `context_of_slot` is n_contexts in gaps. `cause` is `domain.Cause` per slot: 0 where the position is counted.
    `document_group` is the jackknife group, 0 … N_GROUPS − 1; `document_key` the document's 64-bit hash.
    The arrays may be memory maps.
    """

    token_ids: NDArray[np.uint32]  # [n_slots]
    cause: NDArray[np.uint8]  # [n_slots]
    context_of_slot: NDArray[np.uint32]  # [n_slots]
    context_slot: NDArray[np.int64]  # [n_contexts] first slot
    context_n: NDArray[np.int64]  # [n_contexts] number of tokens
    context_document: NDArray[np.uint32]  # [n_contexts]
    context_token_offset: NDArray[np.uint32]  # [n_contexts] offset in the document, in tokens
    document_split: NDArray[np.uint8]  # [n_documents]
    document_group: NDArray[np.uint8]  # [n_documents]
    document_key: NDArray[np.uint64]  # [n_documents]
    n_vocab: int

    @property
    def n_contexts(self) -> int:
        """Number of contexts."""
        return len(self.context_slot)

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return len(self.document_split)

    def head(self, n_slots: int) -> "CorpusArrays":
        """The corpus of the first n slots, a whole number of blocks: what a partial snapshot describes."""
        if n_slots >= len(self.token_ids):
            return self
        n_contexts = int(np.searchsorted(self.context_slot, n_slots))
        n_documents = int(self.context_document[:n_contexts].max()) + 1 if n_contexts else 0
        return CorpusArrays(
            token_ids=self.token_ids[:n_slots],
            cause=self.cause[:n_slots],
            context_of_slot=np.minimum(self.context_of_slot[:n_slots], np.uint32(n_contexts)),
            context_slot=self.context_slot[:n_contexts],
            context_n=self.context_n[:n_contexts],
            context_document=self.context_document[:n_contexts],
            context_token_offset=self.context_token_offset[:n_contexts],
            document_split=self.document_split[:n_documents],
            document_group=self.document_group[:n_documents],
            document_key=self.document_key[:n_documents],
            n_vocab=self.n_vocab,
        )
