"""The artifact folder: what is written comes back, slices read only themselves, damage is never taken for content."""

import logging
import os
import resource
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from featlas.errors import ConflictError, ExternalError, NotFoundError
from featlas.store import artifacts
from featlas.store.atomic_files import ArrayWriter


def make_block(n_features=50, block_slots=256, seed=0, max_events=20):
    rng = np.random.default_rng(seed)
    n_events = rng.integers(0, max_events, n_features)
    slot = np.concatenate([np.sort(rng.choice(block_slots, n, replace=False)) for n in n_events])
    return artifacts.BlockArrays(
        indptr=np.concatenate([[0], np.cumsum(n_events)]).astype(np.uint32),
        slot=slot.astype(np.uint16),
        value=rng.normal(size=len(slot)).astype(np.float32),
        excluded_feature=np.array([3, 7], dtype=np.uint32),
        excluded_n=np.array([1, 70_000], dtype=np.uint32),
        excluded_max=np.array([0.5, -2.0], dtype=np.float32),
        cause=rng.integers(0, 4, block_slots).astype(np.uint8),
        quality={"squared_norm": rng.normal(size=9), "tokens": np.array([4.0])},
    )


def save_five(folder: Path):
    for index in range(5):
        artifacts.save_block(folder, index, make_block(seed=index))


def test_a_block_comes_back(tmp_path):
    block = make_block()
    artifacts.save_block(tmp_path, 17, block)
    assert (tmp_path / "blocks/000017.safetensors").is_file()
    indptr, slot, value = artifacts.read_block_slice(tmp_path, 17, 0, 50)
    np.testing.assert_array_equal(block.indptr, indptr)
    np.testing.assert_array_equal(block.slot, slot)
    np.testing.assert_array_equal(block.value, value)
    assert (indptr.dtype, slot.dtype, value.dtype) == (np.int64, np.uint16, np.float32)
    np.testing.assert_array_equal(block.indptr, artifacts.read_block_indptr(tmp_path, 17))
    extras = artifacts.load_block_extras(tmp_path, 17)
    for name in ("excluded_feature", "excluded_n", "excluded_max", "cause"):
        np.testing.assert_array_equal(getattr(block, name), getattr(extras, name))
        assert getattr(block, name).dtype == getattr(extras, name).dtype
    assert block.quality.keys() == extras.quality.keys()
    for name, array in block.quality.items():
        np.testing.assert_array_equal(array, extras.quality[name])


def test_a_block_without_events_comes_back(tmp_path):
    empty = make_block(max_events=1)
    assert len(empty.slot) == 0
    artifacts.save_block(tmp_path, 0, empty)
    indptr, slot, value = artifacts.read_block_slice(tmp_path, 0, 3, 4)
    assert (indptr.tolist(), len(slot), len(value)) == ([0] * 5, 0, 0)
    assert artifacts.list_finished_blocks(tmp_path) == [0]


def test_other_readers_of_safetensors_read_a_block(tmp_path):
    block = make_block()
    artifacts.save_block(tmp_path, 2, block)
    tensors = safetensors.numpy.load_file(tmp_path / "blocks/000002.safetensors")
    np.testing.assert_array_equal(block.value, tensors["value"])


@given(first=st.integers(0, 50), n=st.integers(0, 50))
def test_a_slice_is_the_slice_of_the_whole(tmp_path_factory, first, n):
    folder = tmp_path_factory.getbasetemp() / "slices"
    block = make_block()
    if not folder.exists():
        artifacts.save_block(folder, 0, block)
    n = min(n, 50 - first)
    indptr, slot, value = artifacts.read_block_slice(folder, 0, first, n)
    events = slice(block.indptr[first], block.indptr[first + n])
    np.testing.assert_array_equal(block.indptr[first : first + n + 1] - block.indptr[first], indptr)
    np.testing.assert_array_equal(block.slot[events], slot)
    np.testing.assert_array_equal(block.value[events], value)


def bytes_read_so_far() -> int:
    counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counters["rchar"])


def test_a_slice_reads_only_itself(tmp_path):
    artifacts.save_block(tmp_path, 0, make_block(n_features=5000, block_slots=16_384, max_events=200))
    n_file = artifacts.block_path(tmp_path, 0).stat().st_size
    cost_of_asking = bytes_read_so_far()
    cost_of_asking = bytes_read_so_far() - cost_of_asking
    before = bytes_read_so_far()
    _, slot, _ = artifacts.read_block_slice(tmp_path, 0, 2500, 10)
    n_read = bytes_read_so_far() - before - cost_of_asking
    assert n_file > 2_000_000
    assert 6 * len(slot) < n_read < 6 * len(slot) + 3000


def test_features_that_are_not_there_are_an_index_error(tmp_path):
    artifacts.save_block(tmp_path, 0, make_block())
    with pytest.raises(IndexError, match="which has 51"):
        artifacts.read_block_slice(tmp_path, 0, 45, 10)


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    block = make_block()
    with pytest.raises(ValueError, match="slot does not fit uint16"):
        artifacts.save_block(tmp_path, 0, replace(block, slot=block.slot.astype(np.int64) + 65_536))
    with pytest.raises(ValueError, match="indptr ends at"):
        artifacts.save_block(tmp_path, 0, replace(block, value=block.value[:-1]))
    assert artifacts.list_finished_blocks(tmp_path) == []


def replace(block, **changes):
    return artifacts.BlockArrays(**{**block.__dict__, **changes})


def test_finished_blocks_are_listed_in_order_and_others_ignored(tmp_path):
    assert artifacts.list_finished_blocks(tmp_path) == []
    for index in (1_000_001, 3, 0):
        artifacts.save_block(tmp_path, index, make_block())
    (tmp_path / "blocks/.000001.safetensors.ab12.tmp").write_bytes(b"half")
    (tmp_path / "blocks/notes.safetensors").write_bytes(b"x")
    assert artifacts.list_finished_blocks(tmp_path) == [0, 3, 1_000_001]


def test_a_truncated_block_is_unfinished_at_every_length(tmp_path, caplog):
    artifacts.save_block(tmp_path, 0, make_block(n_features=4))
    path = artifacts.block_path(tmp_path, 0)
    whole = path.read_bytes()
    for n in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:n])
        caplog.clear()
        assert artifacts.list_finished_blocks(tmp_path, verify=False) == []
        assert caplog.records[0].levelno == logging.WARNING
        assert str(path) in caplog.text
        with pytest.raises(ExternalError, match=r"is damaged .* resume the run"):
            artifacts.read_block_indptr(tmp_path, 0)
    path.write_bytes(whole + b"\0")
    assert artifacts.list_finished_blocks(tmp_path, verify=False) == []


def test_any_flipped_bit_makes_a_block_unfinished(tmp_path, caplog):
    artifacts.save_block(tmp_path, 0, make_block(n_features=4, block_slots=20))
    path = artifacts.block_path(tmp_path, 0)
    whole = path.read_bytes()
    padding = whole[8 : 8 + int.from_bytes(whole[:8], "little")].count(b" ")
    survived = 0
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 7)]) + whole[at + 1 :])
        survived += artifacts.list_finished_blocks(tmp_path) == [0]
    assert survived <= padding, "only a blank of the header's padding may change without harm"
    assert "damaged" in caplog.text


def test_a_block_under_a_wrong_name_is_unfinished(tmp_path, caplog):
    artifacts.save_block(tmp_path, 0, make_block())
    shutil.copy(artifacts.block_path(tmp_path, 0), artifacts.block_path(tmp_path, 4))
    assert artifacts.list_finished_blocks(tmp_path) == [0]
    assert "it is not the file of block 4" in caplog.text


def test_a_damaged_block_is_replaced_by_saving_it_again(tmp_path, caplog):
    save_five(tmp_path)
    artifacts.block_path(tmp_path, 2).write_bytes(b"")
    assert artifacts.list_finished_blocks(tmp_path) == [0, 1, 3, 4]
    artifacts.save_block(tmp_path, 2, make_block(seed=2))
    assert artifacts.list_finished_blocks(tmp_path) == [0, 1, 2, 3, 4]


def test_a_missing_block_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match=r"block 9 of .* is not finished"):
        artifacts.load_block_extras(tmp_path, 9)


def test_same_content_gives_the_same_file(tmp_path):
    artifacts.save_block(tmp_path / "a", 0, make_block())
    artifacts.save_block(tmp_path / "b", 0, make_block())
    files = [artifacts.block_path(tmp_path / name, 0).read_bytes() for name in "ab"]
    assert files[0] == files[1]


FULL_DISK = """
    import resource, sys
    from pathlib import Path
    import numpy as np
    from featlas.errors import ExternalError
    from featlas.store import artifacts
    from featlas.store.atomic_files import ArrayWriter

    folder = Path(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        if sys.argv[1] == "table":
            artifacts.save_table(folder, "tokens-000", {"n": np.arange(100_000)})
        elif sys.argv[1] == "plan":
            with_plan = artifacts.begin_plan(folder)
            writer = ArrayWriter(with_plan / "token_ids.npy", np.uint32)
            for _ in range(100):
                writer.append(np.arange(1000))
            writer.close()
    except ExternalError as error:
        print(error)
        artifacts.discard_plan(folder)
        sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(("kind", "name"), [("table", "tables/tokens-000.safetensors"), ("plan", "token_ids.npy")])
def test_a_full_disk_names_the_path_and_leaves_nothing(tmp_path, kind, name):
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), kind, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ExternalError.exit_code, done.stderr
    assert f"{name}: File too large; free disk space" in done.stdout
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_block_that_does_not_fit_the_disk_leaves_the_old_one(tmp_path):
    artifacts.save_block(tmp_path, 0, make_block(seed=1))
    before = artifacts.block_path(tmp_path, 0).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before), limits[1]))
    try:
        with pytest.raises(ExternalError, match=r"000000\.safetensors: File too large"):
            artifacts.save_block(tmp_path, 0, make_block(n_features=5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert artifacts.block_path(tmp_path, 0).read_bytes() == before
    assert os.listdir(tmp_path / "blocks") == ["000000.safetensors"]


def test_a_folder_below_a_file_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExternalError, match="Not a directory"):
        artifacts.save_block(tmp_path / "file" / "run", 0, make_block())
    with pytest.raises(ExternalError, match="Not a directory"):
        artifacts.begin_plan(tmp_path / "file" / "run")


def test_leftovers_of_killed_writers_are_removed_when_old(tmp_path):
    artifacts.save_block(tmp_path, 0, make_block())
    for name, age_s in [("old", 3600), ("new", 0)]:
        path = tmp_path / "blocks" / f".000001.safetensors.{name}.tmp"
        path.write_bytes(b"half")
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age_s))
    assert artifacts.remove_leftovers(tmp_path) == 1
    assert sorted(os.listdir(tmp_path / "blocks")) == [".000001.safetensors.new.tmp", "000000.safetensors"]


def test_tables_come_back_whole_and_by_rows(tmp_path):
    artifacts.save_table(tmp_path, "tokens-000", {"n": np.arange(10), "pair": np.arange(20.0).reshape(10, 2)})
    artifacts.save_table(tmp_path, "tokens-001", {"n": np.arange(3)})
    assert artifacts.list_tables(tmp_path) == ["tokens-000", "tokens-001"]
    table = artifacts.open_table(tmp_path, "tokens-000")
    np.testing.assert_array_equal(np.arange(10), table.read("n"))
    np.testing.assert_array_equal([[4, 5], [6, 7]], table.read("pair", 2, 2))
    assert table.is_intact()
    with pytest.raises(NotFoundError, match="no table labels"):
        artifacts.open_table(tmp_path, "labels")


def write_plan(folder: Path, record):
    partial = artifacts.begin_plan(folder)
    writer = ArrayWriter(partial / "token_ids.npy", np.uint32)
    writer.append(np.arange(3))
    writer.append(np.arange(4))
    writer.close()
    (partial / artifacts.DOCUMENTS_FILE).write_text('{"document_index": 0}\n{"document_index": 1}\n')
    artifacts.publish_plan(folder, record)


def test_a_plan_comes_back(tmp_path):
    write_plan(tmp_path, {"seed": 1, "spec": {"text": ["ünï.txt"]}})
    assert artifacts.load_plan_record(tmp_path) == {"seed": 1, "spec": {"text": ["ünï.txt"]}}
    arrays = artifacts.load_plan_arrays(tmp_path)
    assert isinstance(arrays["token_ids"], np.memmap)
    assert arrays["token_ids"].tolist() == [0, 1, 2, 0, 1, 2, 3]
    assert [row["document_index"] for row in artifacts.read_plan_documents(tmp_path)] == [0, 1]


def test_an_unfinished_plan_is_no_plan(tmp_path):
    folder = tmp_path / "run"
    partial = artifacts.begin_plan(folder)
    (partial / "token_ids.npy").write_bytes(b"half")
    assert not artifacts.has_plan(folder)
    with pytest.raises(NotFoundError, match="no plan in"):
        artifacts.load_plan_record(folder)
    assert list(artifacts.begin_plan(folder).iterdir()) == []
    artifacts.discard_plan(folder)
    assert [path for path in tmp_path.rglob("*") if path != folder] == []


def test_a_finished_plan_is_not_planned_over(tmp_path):
    write_plan(tmp_path, {})
    with pytest.raises(ConflictError, match="already holds a plan"):
        artifacts.begin_plan(tmp_path)


def test_a_damaged_plan_is_said_to_be(tmp_path):
    write_plan(tmp_path, {})
    (artifacts.plan_path(tmp_path) / "token_ids.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ExternalError, match=r"token_ids\.npy is damaged"):
        artifacts.load_plan_arrays(tmp_path)
    (artifacts.plan_path(tmp_path) / "plan.json").write_bytes(b"{")
    with pytest.raises(ExternalError, match=r"plan\.json is damaged"):
        artifacts.load_plan_record(tmp_path)


@given(st.lists(st.integers(0, 2000), max_size=6))
def test_a_growing_array_is_a_plain_npy_file(tmp_path_factory, sizes):
    path = tmp_path_factory.mktemp("growing") / "array.npy"
    writer = ArrayWriter(path, np.uint64)
    parts = [np.arange(n, dtype=np.uint64) + n for n in sizes]
    for part in parts:
        writer.append(part)
    writer.close()
    writer.close()
    np.testing.assert_array_equal(np.concatenate([np.zeros(0, dtype=np.uint64), *parts]), np.load(path))
