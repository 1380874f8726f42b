"""A real model, a real server, a real run: the labels may be poor, the path is the point."""

from pathlib import Path

import pytest
from tests.e2e.real_model import label_demo
from tests.llama import llama_server


def test_a_real_model_labels_features_of_the_demo_run(
    tmp_path: Path, smollm2_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with llama_server() as url:
        done = label_demo(tmp_path / "home", smollm2_cache, url, 2)
    with capsys.disabled():
        print(f"\n{done.share_valid:.0%} of {done.result['n_features']} answers keep to the schema: {done.result}")
    assert done.result["n_features"] == 2
    assert done.result["n_left"] == 0
    assert done.result["n_tokens_out"] > 0
    assert set(done.result["n_by_cause"]) <= {"truncated"}
    assert done.share_valid > 0
