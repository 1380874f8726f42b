"""Hugging Face data sets are read whole, from the disk and as a stream."""

import logging
import subprocess
import sys

import datasets
import pytest
from tests.builders.texts import ROWS, SCRIPTS, assert_refused, read, write_jsonl

from featlas.sources.texts import is_streamed, list_files
from featlas.specs import TextSpec


@pytest.fixture
def saved_set(tmp_path):
    folder = tmp_path / "saved"
    datasets.Dataset.from_list(ROWS).save_to_disk(str(folder))
    return folder


def test_a_saved_data_set_is_read(saved_set, caplog):
    found = read(saved_set)
    assert [document.text for document in found] == [row["text"] for row in ROWS]
    assert (found[1].source, found[1].external_id, found[1].metadata) == ("saved", "2", {"title": None, "year": 2026})
    assert not is_streamed(TextSpec(text=(str(saved_set),)))
    assert [path.suffix for path in list_files(TextSpec(text=(str(saved_set),)))].count(".arrow") == 1
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_all_splits_of_a_saved_dictionary_are_read(tmp_path):
    parts = {
        "train": datasets.Dataset.from_dict({"tokens": [[1, 2]]}),
        "test": datasets.Dataset.from_dict({"tokens": [[3]]}),
    }
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    found = read(tmp_path / "saved")
    assert [(document.source, document.token_ids.tolist()) for document in found] == [
        ("saved:train", [1, 2]),
        ("saved:test", [3]),
    ]


def test_a_broken_saved_data_set_is_refused(saved_set):
    (arrow,) = saved_set.glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:100])
    assert_refused("saved is not a whole data set", saved_set)
    arrow.unlink()
    assert_refused("saved is not a whole data set", saved_set)


def test_a_row_of_a_data_set_is_named(tmp_path):
    datasets.Dataset.from_dict({"text": ["a", None]}).save_to_disk(str(tmp_path / "saved"))
    assert_refused(r"saved \(saved\), row 2: field 'text' is null", tmp_path / "saved")


def test_a_folder_in_hub_layout_is_streamed(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", ROWS)
    write_jsonl(folder / "test.jsonl", [{"text": "held out", "title": "T", "year": 1}])
    found = read(f"hf:{folder}")
    assert [document.text for document in found] == [SCRIPTS, "two\nlines", "held out"]
    assert [document.source for document in found] == ["hub:train", "hub:train", "hub:test"]
    assert is_streamed(TextSpec(text=(f"hf:{folder}",)))
    assert len(list_files(TextSpec(text=(f"hf:{folder}",)))) == 2


def test_broken_rows_of_a_streamed_set_are_refused(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    (folder / "train.jsonl").write_text('{"text": "a"}\n{"text": \n')
    assert_refused("hub: broken data set", f"hf:{folder}")


def test_an_unknown_configuration_is_refused(tmp_path):
    folder = tmp_path / "hub"
    folder.mkdir()
    write_jsonl(folder / "train.jsonl", ROWS)
    assert_refused("hub:sv: .*sv", f"hf:{folder}:sv")


def test_a_data_set_without_a_name_is_refused():
    assert_refused("'hf:@main' names no data set; expected hf:NAME", "hf:@main")


def test_an_unreachable_hub_is_external(tmp_path):
    script = """
import sys
from featlas.errors import ExternalError
from featlas.sources.texts import read_documents
from featlas.specs import TextSpec
try:
    next(read_documents(TextSpec(text=("hf:someone/some-set",))))
except ExternalError as error:
    print(error, error.retryable)
"""
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=200, check=False
    )
    assert "could not read hf:someone/some-set" in done.stdout, done.stderr
    assert "check the connection and try again True" in done.stdout
