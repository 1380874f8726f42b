"""The same plan gives bitwise the same result, whatever made the blocks, in any order, after any number of stops."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.builders.published import assert_same_files, assert_same_published, read_files, read_published
from tests.integration.pipeline.conftest import MakeWorkbench, planted_spec
from tests.integration.pipeline.workbench import Workbench, open_for_pass

from featlas.pipeline import extract
from featlas.pipeline.block_pass import run_blocks
from featlas.pipeline.plan import load_plan
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.store.artifacts import block_path, list_finished_blocks
from featlas.store.runs import fetch_run
from featlas.store.session import Store
from featlas.testing.planted_sae import Planted


class Undisturbed:
    """One run from beginning to end: its rows and files."""

    def __init__(self, workbench: Workbench) -> None:
        run = workbench.extract()
        self.published = read_published(workbench.store, run.id)
        self.files = read_files(workbench.artifacts_of(run))

    def assert_equals(self, workbench: Workbench, job_id: int) -> None:
        run = workbench.extract(job_id)
        assert_same_files(self.files, read_files(workbench.artifacts_of(run)))
        assert_same_published(self.published, read_published(workbench.store, run.id))


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, make_workbench: MakeWorkbench, planted: Planted, text: Path
) -> Undisturbed:
    return Undisturbed(make_workbench(tmp_path_factory.mktemp("undisturbed"), **planted_spec(planted, text)))


def make_in_shards(workbench: Workbench, folder: Path, n_shards: int) -> None:
    """All blocks, dealt out at random to so many processes that run at the same time (one shard: in this one)."""
    spec = workbench.spec()
    blocks = list(range(load_plan(folder).n_blocks))
    random.Random(n_shards).shuffle(blocks)
    if n_shards == 1:
        plan, model, target = open_for_pass(spec, folder)
        run_blocks(plan, blocks, model, target, NoProgress(), NeverStop())
    else:
        command = [sys.executable, "-m", "tests.integration.pipeline.shard", spec.model_dump_json(), str(folder)]
        shards = [subprocess.Popen([*command, *map(str, blocks[n::n_shards])]) for n in range(n_shards)]
        assert [0] * n_shards == [shard.wait(240) for shard in shards]
    assert len(blocks) >= 5
    assert sorted(blocks) == list_finished_blocks(folder)


@pytest.mark.parametrize("n_shards", [1, 2, 5])
def test_shards_in_processes_of_their_own(workbench: Workbench, undisturbed: Undisturbed, n_shards: int) -> None:
    job_id, folder = workbench.pause("reading the text")
    make_in_shards(workbench, folder, n_shards)
    undisturbed.assert_equals(workbench, job_id)


@pytest.mark.parametrize(
    ("phase", "n"),
    [
        ("tokenise", 20),
        ("reading the text", 0),
        ("reading the text", 700),
        ("reading the text", 3000),
        ("describing features", 0),
        ("publishing", 0),
    ],
)
def test_a_stop_in_every_phase(workbench: Workbench, undisturbed: Undisturbed, phase: str, n: int) -> None:
    job_id, _ = workbench.pause(phase, n)
    undisturbed.assert_equals(workbench, job_id)


def test_many_stops_in_one_run(workbench: Workbench, undisturbed: Undisturbed) -> None:
    job_id, _ = workbench.pause("tokenise", 5)
    for phase, n in (("reading the text", 1), ("reading the text", 1500), ("describing features", 0)):
        workbench.pause(phase, n, job_id)
    undisturbed.assert_equals(workbench, job_id)


def test_a_damaged_block_is_made_again(workbench: Workbench, undisturbed: Undisturbed) -> None:
    job_id, folder = workbench.pause("describing features")
    damaged = block_path(folder, 2)
    content = bytearray(damaged.read_bytes())
    content[-100] ^= 1
    damaged.write_bytes(content)
    block_path(folder, 4).write_bytes(block_path(folder, 4).read_bytes()[:-7])
    undisturbed.assert_equals(workbench, job_id)


def test_partial_results_on_the_way_change_nothing(
    workbench: Workbench, undisturbed: Undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "PARTIAL_EVERY_S", 0.0)
    job_id, _ = workbench.pause("reading the text", 2000)
    with workbench.store.read() as session:
        partial = fetch_run(session, 1)
    assert partial.header is not None
    assert partial.header.is_partial
    assert 0 < partial.header.n_tokens <= 2000 + 512
    undisturbed.assert_equals(workbench, job_id)


def test_the_same_content_in_postgresql(
    workbench: Workbench, undisturbed: Undisturbed, request: pytest.FixtureRequest, store_url: str
) -> None:
    """On SQLite too, as a store of another path."""
    store = Store.open(store_url)
    request.addfinalizer(store.close)
    run = Workbench(workbench.folder, store, workbench.shared).extract()
    assert_same_published(undisturbed.published, read_published(store, run.id))
