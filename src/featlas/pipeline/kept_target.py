"""Keeps what the self-check settled (verdict, sink limit, control features) in the run's artifact folder.

Every worker and every resume of a run must count by the same rules, bit for bit, so the rules are written down once.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from featlas.engine.sae import SaeParams
from featlas.errors import NotFoundError
from featlas.store.artifacts import open_table, save_table

TABLE = "target"


@dataclass(frozen=True)
class KeptTarget:
    """The self-check as plain values, the norm above which positions are sinks, and the control features."""

    check: dict[str, Any]
    sink_limit: float | None
    null_features: SaeParams | None


def save_target(folder: Path, target: KeptTarget) -> None:
    """Write the rules of a run."""
    settled = json.dumps({"check": target.check, "sink_limit": target.sink_limit}).encode()
    arrays = {"settled": np.frombuffer(settled, dtype=np.uint8)}
    null = target.null_features
    if null is not None:
        assert null.threshold is not None
        rules = json.dumps({"subtract_b_dec": null.subtract_b_dec, "normalisation": null.normalisation}).encode()
        arrays["rules"] = np.frombuffer(rules, dtype=np.uint8)
        tensors = {"W_enc": null.W_enc, "b_enc": null.b_enc, "threshold": null.threshold, "b_dec": null.b_dec}
        arrays |= {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    save_table(folder, TABLE, arrays)


def load_target(folder: Path) -> KeptTarget | None:
    """The rules of a run that was begun before; None where it was not."""
    try:
        table = open_table(folder, TABLE)
    except NotFoundError:
        return None
    settled = json.loads(table.read("settled").tobytes())
    null = None
    if "W_enc" in table.entries:
        tensors = {n: torch.from_numpy(table.read(n).copy()) for n in ("W_enc", "b_enc", "threshold", "b_dec")}
        null = SaeParams(
            **tensors,
            W_dec=tensors["W_enc"].T.contiguous(),
            activation="jumprelu",
            **json.loads(table.read("rules").tobytes()),
        )
    return KeptTarget(settled["check"], settled["sink_limit"], null)
