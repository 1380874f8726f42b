"""What is broken in a text is named so that it can be mended."""

import gzip

import pytest
from tests.builders.texts import ROWS, assert_refused, read, texts, write_csv, write_jsonl, write_parquet

from featlas.errors import ExternalError, NotFoundError
from featlas.sources.texts import read_documents
from featlas.specs import TextSpec


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


def test_a_csv_column_that_is_named_twice_is_not_lost(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("text,year,text\na,1,b\n")
    assert_refused(r"a\.csv:1: the header names 'text' more than once", path)


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
