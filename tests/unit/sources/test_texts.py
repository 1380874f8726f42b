"""Texts are read whole, from every kind of file, row by row."""

import datetime
import gzip
import json
import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders.texts import ROWS, SCRIPTS, WRITERS, read, texts, write_csv, write_jsonl, write_parquet

from featlas.errors import InputError
from featlas.sources.text_rows import to_json
from featlas.sources.texts import list_files, read_documents
from featlas.specs import TextSpec


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


def test_a_column_name_that_is_no_text_is_kept_as_it_can_be(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "b\\ud800": 1}\n')
    assert [document.metadata for document in read(path)] == [{"b\\ud800": 1}]


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
