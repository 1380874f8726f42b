"""What the weights say, from the command line; and a job that is killed in the midst of it begins anew."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text
from tests.builders.made_texts import made_documents, save_documents
from tests.e2e.chaos import wait_for, worker_of
from tests.e2e.command import PATIENCE_S, Featlas
from tests.e2e.conftest import CTX_LEN

from featlas.exchange.saelens_files import save_saelens
from featlas.store.session import Store
from featlas.testing.planted_sae import DENSE, N_PLANTED, ONE_TOKEN, Planted
from featlas.testing.tiny_models import D_MODEL

Json = dict[str, Any]
TABLES = ("sae_directions", "feature_logits", "feature_neighbours", "sae_maps")


@pytest.fixture(scope="module")
def featlas(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Featlas:
    """A home with one run, planted."""
    folder: Path = tmp_path_factory.mktemp("directions")
    made = save_documents(folder / "made.jsonl", made_documents())
    featlas = Featlas(folder / "home")
    where = ("--model", planted.model, "--sae", planted.sae, "--text", made, "--ctx-len", CTX_LEN)
    featlas.run("extract", *where, "--null-features", 16, "--name", "planted")
    return featlas


def rows(featlas: Featlas) -> dict[str, list[tuple[Any, ...]]]:
    """What is kept, without the numbers and instants of one computation."""
    store = Store.open(f"sqlite:///{featlas.home / 'featlas.db'}")
    with store.read() as session:
        found = {name: session.execute(text(f"SELECT * FROM {name}")).mappings().all() for name in TABLES}
    store.close()
    passing = ("id", "directions_id", "job_id", "created_at", "published_at")
    return {
        name: [tuple((key, value) for key, value in row.items() if key not in passing) for row in of]
        for name, of in found.items()
    }


def test_directions_are_computed_and_shown(featlas: Featlas) -> None:
    (before,) = featlas.quick.json("feature", "planted", N_PLANTED)
    assert (None, None) == (before["logits"], before["neighbours"])
    said = featlas.run("directions", "planted", "--n-tokens", 3, "--n-neighbours", 4).stdout
    assert f"{N_PLANTED + 2 * D_MODEL} features of the SAE of run 1 planted, {N_PLANTED} without a decoder" in said
    assert "2 by encoder (cosine 0.99 or more)" in said
    assert "its axes show 3.12% and 3.12% of the variance" in said
    (shown,) = featlas.quick.json("feature", "planted", N_PLANTED)
    assert shown["logits"]["reason"] is None
    assert [3, 3] == [len(shown["logits"][side]) for side in ("promoted", "suppressed")]
    effects = [token["effect"] for token in shown["logits"]["promoted"]]
    assert sorted(effects, reverse=True) == effects
    assert [4, 4] == [len(shown["neighbours"][kind]) for kind in ("decoder", "encoder")]
    featlas.quick.run("labels", "add", "planted", N_PLANTED + 1, "its neighbour")
    page = featlas.quick.run("feature", "planted", N_PLANTED).stdout
    for part in ("promotes", "suppresses", "nearest by decoder", "nearest by encoder", "its neighbour"):
        assert part in page
    (silent,) = featlas.quick.json("feature", "planted", DENSE)
    assert "the feature's direction is zero" == silent["logits"]["reason"]
    assert "no promoted or suppressed tokens" in featlas.quick.run("feature", "planted", ONE_TOKEN).stdout


def test_json_and_what_is_refused(featlas: Featlas) -> None:
    (found,) = featlas.json("directions", "planted")
    assert {"decoder": 0, "encoder": 2} == found["n_near_duplicates"]
    assert ({}, 1) == (found["reasons"], found["run"])
    assert "no run has the number, name or uid 'nobody'" in featlas.run("directions", "nobody", code=3).stderr
    refused = featlas.run("directions", "planted", "--map", "umap", code=2).stderr
    assert "pip install 'featlas[umap]'" in refused
    assert "--n-tokens" in featlas.run("directions", "planted", "--n-tokens", 0, code=2).stderr


def test_kill_in_the_midst(featlas: Featlas, planted: Planted, tmp_path: Path) -> None:
    """An SAE wide enough to be caught at it; the same command ends in what an undisturbed one gives."""
    chance = np.random.default_rng(1)
    n = 3000
    tensors = {
        "W_enc": chance.standard_normal((D_MODEL, n)),
        "b_enc": np.full(n, -8.0),
        "W_dec": chance.standard_normal((n, D_MODEL)),
        "b_dec": np.zeros(D_MODEL),
    }
    shape = {"d_in": D_MODEL, "d_sae": n, "metadata": {"hook_name": "blocks.0.hook_resid_pre", "prepend_bos": True}}
    arrays = {name: array.astype(np.float32) for name, array in tensors.items()}
    save_saelens(tmp_path / "sae", arrays, {"architecture": "standard", **shape})
    made = save_documents(tmp_path / "made.jsonl", made_documents()[:20])
    where = ("--model", planted.model, "--sae", tmp_path / "sae", "--text", made, "--ctx-len", CTX_LEN, "--force")
    home = Featlas(tmp_path / "home")
    home.run("extract", *where, "--name", "wide", "--null-features", 16)
    home.run("directions", "wide", "--n-tokens", 2)
    expected_before = rows(home)

    store = Store.open(f"sqlite:///{home.home / 'featlas.db'}")

    def is_writing() -> bool:
        with store.read() as session:
            of_it = "SELECT count(*) FROM feature_neighbours WHERE directions_id = (SELECT max(id) FROM sae_directions)"
            unpublished = "SELECT count(*) FROM sae_directions WHERE published_at IS NULL"
            return bool(session.scalar(text(unpublished)) and session.scalar(text(of_it)))

    with home.start("directions", "wide", "--json") as process:
        assert wait_for(is_writing, process), "it ended before it could be killed"
        worker = worker_of(process)
        process.kill()
        process.communicate(timeout=PATIENCE_S)
    if worker is not None:
        worker.wait(30)
    store.close()
    (shown,) = home.quick.json("feature", "wide", 0)
    assert 2 == len(shown["logits"]["promoted"])  # what was in force is in force
    assert [2, len(expected_before["sae_maps"])] == [len(rows(home)["sae_directions"]), 1]
    again = home.run("directions", "wide", "--json")
    assert "going on with job" in again.stderr
    after_kill = rows(home)
    home.run("directions", "wide", "--json")
    assert after_kill == rows(home)
    assert [1, n, 2 * n, 1] == [len(after_kill[name]) for name in TABLES]
