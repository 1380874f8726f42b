"""A tokenizer's vocabulary as bytes, so that the store shows and finds tokens without the tokenizer."""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from featlas.errors import InputError, NotFoundError
from featlas.store.blobs import unpack_array
from featlas.store.spans import readable_token
from featlas.store.tables import ModelRow, RunRow, SnapshotRow, TokenizerRow


class Vocabulary:
    """Token `i` is `content[ends[i - 1]:ends[i]]`."""

    def __init__(self, content: bytes, ends: NDArray[np.uint32]) -> None:
        self._content = content
        self._ends = ends.astype(np.int64)
        self._starts = np.concatenate([[0], self._ends[:-1]]).astype(np.int64)

    @classmethod
    def load_of_run(cls, session: Session, run_id: int) -> "Vocabulary":
        """The vocabulary of the run's model; raises NotFoundError for an unknown run."""
        statement = (
            select(TokenizerRow.bytes, TokenizerRow.ends)
            .join(ModelRow, ModelRow.tokenizer_id == TokenizerRow.id)
            .join(RunRow, RunRow.model_id == ModelRow.id)
            .where(RunRow.id == run_id)
        )
        found = session.execute(statement).one_or_none()
        if found is None:
            raise NotFoundError(f"there is no run {run_id}")
        return cls(found.bytes, unpack_array(found.ends, "<u4"))

    @classmethod
    def load_of_snapshot(cls, session: Session, snapshot_id: int) -> "Vocabulary":
        """The vocabulary of the snapshot's run; raises NotFoundError for an unknown snapshot."""
        run_id = session.scalars(select(SnapshotRow.run_id).where(SnapshotRow.id == snapshot_id)).one_or_none()
        if run_id is None:
            raise NotFoundError(f"there is no snapshot {snapshot_id}; `featlas runs` lists what there is")
        return cls.load_of_run(session, run_id)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, token_id: int) -> bytes:
        return self._content[self._starts[token_id] : self._ends[token_id]]

    def readable(self, token_id: int) -> str:
        """The token as it is shown."""
        return readable_token(self[token_id])

    def require(self, token_ids: NDArray) -> None:
        """Raise InputError unless all ids are in the vocabulary."""
        if len(token_ids) and int(token_ids.max()) >= len(self):
            raise InputError(f"token id {int(token_ids.max())} is not in the vocabulary of {len(self)} tokens")

    def concatenate(self, token_ids: NDArray[np.uint32]) -> tuple[bytes, NDArray[np.uint32]]:
        """The bytes of the tokens one after another, and where each ends in them."""
        first, last = self._starts[token_ids], self._ends[token_ids]
        tokens = [self._content[start:end] for start, end in zip(first.tolist(), last.tolist(), strict=True)]
        return b"".join(tokens), np.cumsum(last - first).astype(np.uint32)

    def find(self, token: bytes) -> list[int]:
        """The ids of all tokens of exactly these bytes, ascending; more than one where a vocabulary repeats itself."""
        same_length = np.flatnonzero(self._ends - self._starts == len(token))
        return [token_id for token_id in same_length.tolist() if self[token_id] == token]
