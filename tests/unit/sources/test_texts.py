"""Texts are read whole, from every kind of file, and what is broken is named so that it can be mended."""

import csv
import datetime
import gzip
import json
import logging
import subprocess
import sys
import tracemalloc
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.errors import ExternalError, InputError, NotFoundError
from featlas.sources.text_rows import to_json
from featlas.sources.texts import is_streamed, list_files, read_documents
from featlas.specs import TextSpec

SCRIPTS = "emoji 👩🏽‍🚀, عربي, 中文, e\u0301, NUL \x00, tab\t, \r\n end "
ROWS = [{"text": SCRIPTS, "title": "A", "year": 1790}, {"text": "two\nlines", "title": None, "year": 2026}]


def read(*names, **fields):
    return list(read_documents(TextSpec(text=tuple(map(str, names)), **fields)))


def texts(*names, **fields):
    return [document.text for document in read(*names, **fields)]


def write_jsonl(path: Path, rows) -> Path:
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_csv(path: Path, rows) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    return path


def write_parquet(path: Path, rows) -> Path:
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


WRITERS = {
    "a.jsonl": write_jsonl,
    "a.jsonl.gz": write_jsonl,
    "a.csv": write_csv,
    "a.csv.gz": write_csv,
    "a.parquet": write_parquet,
    "A.PARQUET": write_parquet,
}


@pytest.mark.parametrize("name", WRITERS)
def test_rows_of_every_format_give_the_same_documents(tmp_path, name):
    found = read(WRITERS[name](tmp_path / name, ROWS))
    assert [document.text for document in found] == [SCRIPTS, "two\nlines"]
    assert [document.source for document in found] == [name, name]
    empty, convert = ("", str) if ".csv" in name else (None, int)
    assert [document.metadata for document in found] == [
        {"title": "A", "year": convert(1790)},
        {"title": empty, "year": convert(2026)},
    ]
    assert [document.external_id for document in found] == ["1", "2"]
    assert found[0].token_ids is None


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz"])
def test_a_text_file_is_one_document_byte_by_byte(tmp_path, name):
    content = SCRIPTS.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    (document,) = read(tmp_path / name)
    assert (document.text, document.source, document.external_id, document.metadata) == (SCRIPTS, name, None, {})


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5), st.sampled_from(list(WRITERS))
)
def test_any_text_comes_back(tmp_path_factory, contents, name):
    path = tmp_path_factory.mktemp("any") / name
    rows = [{"title": "x", "text": text} for text in contents]
    assert texts(WRITERS[name](path, rows)) == contents


def test_a_row_s_own_id_is_its_external_id(tmp_path):
    path = write_jsonl(
        tmp_path / "a.jsonl", [{"id": "wiki/7", "text": "a"}, {"id": 8, "text": "b"}, {"text": "c", "id": None}]
    )
    found = read(path)
    assert [document.external_id for document in found] == ["wiki/7", "8", "3"]
    assert [document.metadata for document in found] == [{}, {}, {"id": None}]


def test_a_folder_is_read_sorted_and_recursively(tmp_path, caplog):
    folder = tmp_path / "corpus"
    for name in ["b.txt", "a/z.txt", "a/.hidden/x.txt", ".git/y.txt", "c.jsonl", "a/readme.md", "empty.txt"]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": name}) if name == "c.jsonl" else name if name != "empty.txt" else "")
    found = read(folder)
    assert [document.text for document in found] == ["a/z.txt", "b.txt", "c.jsonl", ""]
    assert [document.source for document in found] == [
        "corpus/a/z.txt",
        "corpus/b.txt",
        "corpus/c.jsonl",
        "corpus/empty.txt",
    ]
    assert "1 files have another suffix" in caplog.text
    assert len(list_files(TextSpec(text=(str(folder),)))) == 4


def test_several_inputs_come_in_the_order_given(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text(name)
    assert texts(tmp_path / "b.txt", tmp_path / "a.txt", tmp_path / "b.txt") == ["b", "a", "b"]


def test_empty_files_among_others_are_fine(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "b.jsonl").write_text("\n  \n")
    (tmp_path / "c.csv").write_text("")
    (tmp_path / "d.csv").write_text("text,title\n\n")
    pyarrow.parquet.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "e.parquet")
    (tmp_path / "f.txt").write_text("x")
    assert texts(tmp_path) == ["x"]


def test_a_bom_is_not_text(tmp_path):
    bom = b"\xef\xbb\xbf"
    (tmp_path / "a.txt").write_bytes(bom + "\ufeffx".encode())
    (tmp_path / "b.jsonl").write_bytes(bom + b'{"text": "y"}')
    (tmp_path / "c.csv").write_bytes(bom + b"text\nz\n")
    assert texts(tmp_path) == ["\ufeffx", "y", "z"], "only the first is a mark, the second is text"


# Which column


def test_the_text_column_is_named_or_found(tmp_path):
    rows = [{"title": "t", "text": "x", "body": "b"}]
    assert texts(write_jsonl(tmp_path / "a.jsonl", rows)) == ["x"]
    assert texts(tmp_path / "a.jsonl", text_field="body") == ["b"]
    assert texts(write_jsonl(tmp_path / "b.jsonl", [{"id": "i", "content": "only", "n": 3}])) == ["only"]


def test_a_column_of_token_ids_is_named_or_found(tmp_path):
    rows = [{"input_ids": [1, 2, 4_294_967_295], "n": 1}, {"input_ids": [], "n": 2}]
    for name in ("a.jsonl", "a.parquet"):
        first, second = read(WRITERS[name](tmp_path / name, rows))
        assert first.text is None
        assert first.token_ids.dtype == np.uint32
        assert first.token_ids.tolist() == [1, 2, 4_294_967_295]
        assert second.token_ids.tolist() == []
        assert first.metadata == {"n": 1}
    path = write_jsonl(tmp_path / "b.jsonl", [{"text": "kept", "ids": [3]}])
    (document,) = read(path, tokens_field="ids")
    assert (document.token_ids.tolist(), document.text, document.metadata) == ([3], None, {"text": "kept"})


@pytest.mark.parametrize("spelling", ["[1, 2, 3]", "1 2 3", "1,2,3"])
def test_csv_spells_token_ids_as_a_list(tmp_path, spelling):
    path = write_csv(tmp_path / "a.csv", [{"tokens": spelling}])
    assert read(path, tokens_field="tokens")[0].token_ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    "row", [{"a": "x", "b": "y"}, {"n": 3}, {}, {"content": "x", "input_ids": [1]}, {"id": "a", "tokens": "1 2"}]
)
def test_an_unclear_column_is_asked_for(tmp_path, row):
    path = write_jsonl(tmp_path / "a.jsonl", [row])
    with pytest.raises(
        InputError, match=r"a\.jsonl:1: cannot tell which column is the text; there are .*--text-field"
    ) as error:
        read(path)
    assert all(repr(name) in str(error.value) for name in row)


# What is broken


def assert_refused(pattern, *names, **fields):
    with pytest.raises(InputError, match=pattern):
        read(*names, **fields)


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match=r"no file or folder .*/nothing\.txt; check the path"):
        read(tmp_path / "nothing.txt")


def test_missing_files_are_found_out_before_anything_is_read(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(NotFoundError):
        next(read_documents(TextSpec(text=(str(tmp_path / "a.txt"), str(tmp_path / "b.txt")))))


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.parquet.gz", "a.gz"])
def test_an_unknown_suffix_lists_the_known(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    assert_refused(rf"{name}: unknown suffix; expected one of \.txt \.txt\.gz \.jsonl", tmp_path / name)


def test_a_folder_without_texts_is_refused(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"x")
    assert_refused("holds no text; expected files with one of", tmp_path)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "x"', "not JSON"),
        ("plain", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('["x"]', "a JSON list"),
        ('"x"', "a JSON str"),
        ('{"body": "x"}', "no field 'text'; there are 'body'"),
        ('{"text": null}', "field 'text' is null; text was expected"),
        ('{"text": 3}', "field 'text' is int"),
        ('{"text": ["x"]}', "field 'text' is list"),
        ('{"text": "a\\ud800"}', "field 'text' has half a surrogate pair at character 1"),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(tmp_path, line, reason):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "fine"}\n\n' + line + "\n")
    assert_refused(rf"a\.jsonl:3: {reason}", path)


def test_a_missing_named_field_lists_those_there_are(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", ROWS)
    assert_refused(r"a\.parquet, row 1: no field 'body'; there are 'text', 'title', 'year'", path, text_field="body")
    assert_refused("no field 'ids'", path, tokens_field="ids")


def test_a_null_in_parquet_is_named_by_its_row(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", [{"text": "x"}] * 300 + [{"text": None}])
    assert_refused(r"a\.parquet, row 301: field 'text' is null", path)


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ([1, -5], "has the token id -5"),
        ([2**32], "has the token id 4294967296"),
        ([2**70], "is not a flat list"),
        ([1.5], "is not a flat list of whole numbers"),
        ([True], "is not a flat list of whole numbers"),
        (["a"], "is not a flat list of whole numbers"),
        ([[1], [2]], "is not a flat list of whole numbers"),
        ([[1], [2, 3]], "is not a flat list"),
        ([1, None], "is not a flat list"),
        (None, "is null; a list of token ids was expected"),
        (7, "is int; a list of token ids was expected"),
        ("x y", "is not a list of token ids; write them as"),
    ],
)
def test_bad_token_ids_are_named_by_their_row(tmp_path, ids, reason):
    path = write_jsonl(tmp_path / "a.jsonl", [{"tokens": [1]}, {"tokens": ids}])
    assert_refused(rf"a\.jsonl:2: field 'tokens' {reason}", path, tokens_field="tokens")


@pytest.mark.parametrize(
    ("name", "content", "at"),
    [
        ("a.txt", "é".encode() + b"\xff", "byte 2"),
        ("a.txt", b"\xef\xbb\xbfab\xe4\xb8", "byte 5"),
        ("a.jsonl", b'{"text": "x"}\n{"text": "\xe9"}\n', "byte 24"),
        ("a.csv", b"text\nx\n\xe9\n", "byte 7"),
        ("a.txt", "x".encode("utf-16"), "byte 0 \\(it looks like UTF-16\\)"),
    ],
)
def test_text_that_is_not_utf8_is_named_by_byte(tmp_path, name, content, at):
    (tmp_path / name).write_bytes(content)
    assert_refused(rf"{name}: not UTF-8 at {at}; convert the file", tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt.gz", "a.jsonl.gz", "a.csv.gz"])
@pytest.mark.parametrize("damage", ["cut", "changed", "not gzip"])
def test_broken_gzip_is_refused(tmp_path, name, damage):
    content = bytearray(gzip.compress(b"text\n" + bytes(range(32, 127)) * 300))
    content[-6] ^= 1  # the checksum
    whole = {"cut": content[: len(content) // 2], "changed": content, "not gzip": b"text\nx\n"}[damage]
    (tmp_path / name).write_bytes(whole)
    fields = {"text_field": "text"} if name.startswith("a.csv") else {}
    if name == "a.jsonl.gz":
        (tmp_path / name).write_bytes(whole if damage == "not gzip" else damaged_jsonl(damage))
    assert_refused(rf"{name}: broken gzip", tmp_path / name, **fields)


def damaged_jsonl(damage):
    content = bytearray(gzip.compress(b'{"text": "x"}\n' * 3000))
    content[-6] ^= 1
    return content[: len(content) // 2] if damage == "cut" else content


@pytest.mark.parametrize("keep", [0, 3, 100, -1, -20])
def test_truncated_parquet_is_refused(tmp_path, keep):
    path = write_parquet(tmp_path / "a.parquet", ROWS * 100)
    path.write_bytes(path.read_bytes()[:keep])
    assert_refused(r"a\.parquet: broken", path)


def test_changed_pages_of_parquet_are_refused(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", ROWS * 100)
    content = bytearray(path.read_bytes())
    content[4:200] = b"\xff" * 196
    path.write_bytes(content)
    assert_refused(r"a\.parquet: broken", path)


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        ('text,n\n"x\ny",1\nz\n', 4, "1 fields, but the header has 2"),
        ("text\nx,y\n", 2, "2 fields, but the header has 1"),
        ('text\nfine\n"open\nto the end\n', 3, "broken CSV"),
        ('text\n"a"b\n', 2, "broken CSV"),
    ],
)
def test_broken_csv_is_named_by_line(tmp_path, content, place, reason):
    (tmp_path / "a.csv").write_text(content)
    assert_refused(rf"a\.csv:{place}: {reason}", tmp_path / "a.csv")


def test_long_csv_fields_are_read(tmp_path):
    text = 'a,"b"\n' * 100_000
    assert texts(write_csv(tmp_path / "a.csv", [{"text": text}])) == [text]


def test_an_unreadable_file_is_external(tmp_path):
    path = tmp_path / "a.txt"
    path.symlink_to("/proc/self/mem")
    with pytest.raises(ExternalError, match=r"could not read .*a\.txt: Input/output error"):
        read(path)


def test_rows_are_streamed(tmp_path):
    rows = [{"text": f"{n} " + "x" * 2000} for n in range(5000)]
    for write in (write_jsonl, write_csv, write_parquet):
        path = write(tmp_path / f"a.{write.__name__.removeprefix('write_')}", rows)
        tracemalloc.start()
        n_characters = sum(len(document.text or "") for document in read_documents(TextSpec(text=(str(path),))))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert n_characters > 10_000_000
        assert peak < 3_000_000, path.name


# Data sets


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


def test_metadata_becomes_json():
    value = {
        "time": datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.UTC),
        "day": datetime.date(2026, 1, 2),
        "bytes": b"a\xff",
        "nan": float("nan"),
        "array": np.array([1.5, np.inf]),
        "nested": ({1: {2}}, True, None),
        "half": "a\ud800",
    }
    expected = {
        "time": "2026-01-02T03:04:00+00:00",
        "day": "2026-01-02",
        "bytes": "a\\xff",
        "nan": None,
        "array": [1.5, None],
        "nested": [{"1": [2]}, True, None],
        "half": "a\\ud800",
    }
    assert to_json(value) == expected
    json.dumps(to_json(value), allow_nan=False).encode()
