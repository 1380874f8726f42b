"""What the self-check settled comes back bit for bit, so that a resumed pass counts by the same rules."""

from pathlib import Path

import pytest
import torch
from tests.builders.saes import make_acts, make_sae

from featlas.engine.null_features import make_null_features
from featlas.pipeline.kept_target import KeptTarget, load_target, save_target

CHECK = {"verdict": "fits", "is_refused": False, "l0": 3.25, "alternatives": []}


@pytest.mark.parametrize("normalisation", ["none", "layer_norm"])
@pytest.mark.parametrize("subtract", [True, False])
def test_null_features_come_back_as_they_were(tmp_path: Path, normalisation, subtract: bool) -> None:
    sae = make_sae("jumprelu", normalisation=normalisation, subtract_b_dec=subtract)
    null = make_null_features(sae, make_acts(500) + 3, 40, seed=0)
    assert null is not None
    save_target(tmp_path, KeptTarget(CHECK, 123.456, null))
    kept = load_target(tmp_path)
    assert kept is not None
    assert (kept.check, kept.sink_limit) == (CHECK, 123.456)
    assert kept.null_features is not None
    assert kept.null_features.fingerprint() == null.fingerprint()
    acts = make_acts(100, seed=9) + 3
    assert torch.equal(kept.null_features.encode(acts), null.encode(acts))


def test_no_null_features_and_no_limit_are_kept_as_none(tmp_path: Path) -> None:
    save_target(tmp_path, KeptTarget(CHECK, None, None))
    assert load_target(tmp_path) == KeptTarget(CHECK, None, None)


def test_a_run_that_was_not_begun_has_none(tmp_path: Path) -> None:
    assert load_target(tmp_path) is None
