"""A disk that is full: the command says so, and once there is room the same command ends in the same result."""

import resource
from pathlib import Path

import pytest
from tests.builders.made_texts import made_documents, save_documents
from tests.builders.published import assert_same_published, read_published
from tests.e2e.command import Featlas

from featlas.store.session import Store
from featlas.testing.planted_sae import Planted

MEGABYTE = 1 << 20
N_DOCUMENTS, NULLS = 400, 256


def published(featlas: Featlas, run_id: int) -> dict[str, list]:
    store = Store.open(f"sqlite:///{featlas.home / 'featlas.db'}")
    found = read_published(store, run_id)
    store.close()
    return found


def spec(planted: Planted, folder: Path) -> list[object]:
    text = save_documents(folder / "made.jsonl", made_documents(N_DOCUMENTS, seed=5))
    where = ("--model", planted.model, "--sae", planted.sae, "--text", text)
    return [*where, "--ctx-len", 32, "--null-features", NULLS]


@pytest.fixture(scope="module")
def undisturbed(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list]:
    """What is published where there is room."""
    folder = tmp_path_factory.mktemp("undisturbed")
    featlas = Featlas(folder / "home")
    (done,) = featlas.json("extract", *spec(planted, folder))
    return published(featlas, done["run"])


@pytest.mark.parametrize(
    ("block_slots", "room", "where"),
    [
        pytest.param(65_536, 3 * MEGABYTE, "blocks/000000.safetensors", id="writing blocks"),
        pytest.param(2048, 3 * MEGABYTE, "featlas.db", id="publishing"),
    ],
)
def test_a_full_disk(
    planted: Planted, undisturbed: dict[str, list], tmp_path: Path, block_slots: int, room: int, where: str
) -> None:
    featlas = Featlas(tmp_path / "home")
    arguments = [*spec(planted, tmp_path), "--block-slots", block_slots]
    featlas.run("db", "upgrade")

    def no_file_larger() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    full = featlas.run("extract", *arguments, "--json", code=5, preexec_fn=no_file_larger)
    assert "" == full.stdout
    assert "Traceback" not in full.stderr
    assert where in full.stderr.splitlines()[-1]

    assert not any(run["state"] == "finished" for run in featlas.quick.json("runs"))
    assert [] == [path for path in featlas.home.rglob("*.tmp") if path.name.startswith(".")]
    (job,) = featlas.quick.json("jobs", "ls")
    assert job["state"] in ("failed", "queued")

    (done,) = featlas.json("extract", *arguments)
    assert (1, 1, "finished") == (done["run"], done["job"], done["state"])
    assert_same_published(undisturbed, published(featlas, done["run"]))
    assert 1 == len(featlas.quick.json("runs"))
