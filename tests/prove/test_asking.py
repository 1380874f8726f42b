"""Labeling jobs killed at many random moments, and a real model on more features than `make test` has time for."""

import random
from pathlib import Path

import pytest
from tests.e2e.asking import chat_process, make_asking, rounds_of_kills
from tests.e2e.chaos import seed_of_commit
from tests.e2e.real_model import label_demo
from tests.integration.pipeline.conftest import MakeWorkbench, make_workbench
from tests.integration.pipeline.everything_wrong import check_that_each_feature_gets_its_answer
from tests.llama import llama_server
from tools.record import save_record

from featlas.testing.planted_sae import Planted, plant

__all__ = ["make_workbench"]  # a fixture
N_ROUNDS = 20
N_FEATURES = 30


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


def test_labeling_killed_at_many_random_moments(planted: Planted, tmp_path: Path) -> None:
    seed = seed_of_commit()
    with chat_process(tmp_path, delay_s=0.3) as chat:
        killed = rounds_of_kills(make_asking(planted, tmp_path, chat, 1500), N_ROUNDS, random.Random(seed))
    print(f"seed {seed}: {killed}")
    save_record("labeling-kills", {**vars(killed), "seed": seed})


def test_a_real_model_on_thirty_features(tmp_path: Path, smollm2_cache: Path) -> None:
    with llama_server() as url:
        done = label_demo(tmp_path / "home", smollm2_cache, url, N_FEATURES)
    assert done.result["n_features"] == N_FEATURES
    assert done.result["n_left"] == 0
    figures = ("n_labeled", "n_abstained", "n_linted", "n_failed", "n_repairs", "n_tokens_in", "n_tokens_out")
    save_record("real-model", {"share_valid": done.share_valid, **{name: done.result[name] for name in figures}})


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_thousands_of_features_and_everything_that_goes_wrong(
    provider: str, tmp_path: Path, make_workbench: MakeWorkbench, planted: Planted
) -> None:
    n = check_that_each_feature_gets_its_answer(provider, tmp_path, make_workbench, planted, 2300)
    print(f"{provider}: {n:,} features")
    assert n >= 2000
