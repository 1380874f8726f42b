"""Two machines, each with a folder of its own, and a place between them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featlas.errors import ExternalError, InputError, NotFoundError
from featlas.store import artifacts, shared_artifacts
from featlas.store.artifacts import BlockArrays

NAME = "job-000001-abc"
Switch = Callable[[str], Path]


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Switch]:
    """Be on a machine: the run's folder there."""

    been: list[str] = []

    def switch(machine: str) -> Path:
        been.append(machine)
        shared_artifacts.share_artifacts(tmp_path / machine, f"file://{tmp_path}/between")
        return tmp_path / machine / NAME

    yield switch
    for machine in been:
        shared_artifacts.share_artifacts(tmp_path / machine, "")


def save_plan(folder: Path) -> None:
    partial = artifacts.begin_plan(folder)
    np.save(partial / "token_ids.npy", np.arange(10))
    (partial / artifacts.DOCUMENTS_FILE).write_text(json.dumps({"document_index": 0}) + "\n")
    artifacts.publish_plan(folder, {"seed": 7})


def block(n: int) -> BlockArrays:
    nothing: NDArray = np.zeros(0)
    return BlockArrays(
        indptr=np.array([0, 1, n + 1]),
        slot=np.arange(n + 1),
        value=np.ones(n + 1, np.float32),
        excluded_feature=nothing,
        excluded_n=nothing,
        excluded_max=nothing,
        cause=np.zeros(16),
    )


def test_a_plan_is_found_on_another_machine(on: Switch) -> None:
    folder = on("one")
    assert not artifacts.has_plan(folder)
    save_plan(folder)
    other = on("other")
    assert artifacts.load_plan_record(other) == {"seed": 7}
    assert artifacts.load_plan_arrays(other)["token_ids"].tolist() == list(range(10))
    assert list(artifacts.read_plan_documents(other)) == [{"document_index": 0}]
    assert sorted(path.name for path in other.iterdir()) == ["plan"]


def test_a_plan_without_its_record_is_not_there_yet(on: Switch, tmp_path: Path) -> None:
    save_plan(on("one"))
    (tmp_path / "between" / NAME / "plan" / "plan.json").unlink()
    other = on("other")
    assert not artifacts.has_plan(other)
    with pytest.raises(NotFoundError, match="no plan in"):
        artifacts.load_plan_record(other)


def test_blocks_of_both_machines_are_all_of_the_run(on: Switch) -> None:
    artifacts.save_block(on("one"), 0, block(3))
    other = on("other")
    artifacts.save_block(other, 1, block(4))
    assert artifacts.has_block(other, 0)
    assert not artifacts.has_block(other, 2)
    one = on("one")
    assert artifacts.list_finished_blocks(one) == [0, 1]
    assert artifacts.read_block_slice(one, 1, 1, 1)[1].tolist() == [1, 2, 3, 4]


def test_a_damaged_block_is_made_again_for_all(on: Switch, tmp_path: Path) -> None:
    artifacts.save_block(on("one"), 0, block(3))
    there = tmp_path / "between" / NAME / "blocks" / "000000.safetensors"
    there.write_bytes(there.read_bytes()[:-4])
    other = on("other")
    assert artifacts.list_finished_blocks(other) == []
    artifacts.save_block(other, 0, block(3))
    assert artifacts.list_finished_blocks(on("third")) == [0]


def test_a_table_that_is_written_anew_is_fetched_anew(on: Switch) -> None:
    """By who fetched the first version, and by who made it."""
    artifacts.save_table(on("one"), "occurrences", {"n": np.array([1])})
    other = on("other")
    assert artifacts.list_tables(other) == ["occurrences"]
    assert artifacts.open_table(other, "occurrences").read("n").tolist() == [1]
    artifacts.save_table(on("third"), "occurrences", {"n": np.array([2, 3])})
    for machine in ("other", "one"):
        assert artifacts.open_table(on(machine), "occurrences").read("n").tolist() == [2, 3]
    with pytest.raises(NotFoundError, match="no table"):
        artifacts.open_table(other, "none")


def test_what_is_not_finished_is_not_seen(on: Switch, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = on("one")
    from fsspec.implementations.local import LocalFileSystem

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LocalFileSystem, "mv", fail)
    with pytest.raises(ExternalError, match=r"FEATLAS_ARTIFACTS_URL.*No space left.*resume") as raised:
        artifacts.save_block(folder, 0, block(3))
    assert raised.value.retryable
    assert artifacts.list_finished_blocks(on("other")) == []


def test_a_run_that_is_removed_is_gone_everywhere(on: Switch, tmp_path: Path) -> None:
    artifacts.save_block(on("one"), 0, block(3))
    other = on("other")
    assert artifacts.list_artifacts(tmp_path / "other", "job-000001-*") == [other]
    artifacts.remove_artifacts(other)
    artifacts.remove_artifacts(other)
    assert artifacts.list_artifacts(tmp_path / "other", "job-*") == []
    assert list((tmp_path / "between").iterdir()) == []


def test_a_place_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    shared_artifacts.share_artifacts(tmp_path, "carrier-pigeon://coop/7")
    try:
        with pytest.raises(InputError, match=r"FEATLAS_ARTIFACTS_URL.*carrier-pigeon.*s3://bucket"):
            shared_artifacts.require_shared_place(tmp_path)
    finally:
        shared_artifacts.share_artifacts(tmp_path, "")


def test_a_place_is_known_to_be_ready_by_writing(on: Switch, tmp_path: Path) -> None:
    root = on("one").parent
    shared_artifacts.require_shared_place(root)
    assert list((tmp_path / "between").iterdir()) == []
    (tmp_path / "between").rmdir()
    (tmp_path / "between").write_text("a file in the way")
    with pytest.raises(ExternalError, match="cannot be written"):
        shared_artifacts.require_shared_place(root)


def test_without_a_place_nothing_leaves_the_machine(tmp_path: Path) -> None:
    artifacts.save_block(tmp_path / NAME, 0, block(3))
    shared_artifacts.require_shared_place(tmp_path)
    assert not artifacts.has_block(tmp_path / NAME, 1)
    assert artifacts.list_artifacts(tmp_path, "job-*") == [tmp_path / NAME]


def test_what_lies_elsewhere_stays_there(on: Switch, tmp_path: Path) -> None:
    on("one")
    save_plan(tmp_path / "elsewhere")
    assert artifacts.has_plan(tmp_path / "elsewhere")
    assert not (tmp_path / "between").exists()
