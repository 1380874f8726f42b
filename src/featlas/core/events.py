"""Feature events as a CSR block, the one shape in which every statistic reads the pass over the text.

What an event *is* (which activations fire) is decided once, in `engine/events.py`; here is only how events are held.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FeatureEvents:
    """Events of the features first_feature … first_feature + n − 1 in a chunk of whole contexts.

    Feature `first_feature + f` has events `[indptr[f]:indptr[f + 1]]`; within a feature slots ascend. Only counted
    positions appear. Chunks of one corpus are added in slot order.
    """

    first_feature: int
    indptr: NDArray[np.int64]  # [n + 1]
    slot: NDArray[np.int64]  # [nnz] the token's address in the run
    value: NDArray[np.float32]  # [nnz] activation, sign kept

    @property
    def n_features(self) -> int:
        """Number of features in the chunk."""
        return len(self.indptr) - 1

    def feature(self) -> NDArray[np.int64]:
        """The local feature number (0 … n − 1) of each event. Shape [nnz]."""
        return np.repeat(np.arange(self.n_features), np.diff(self.indptr))
