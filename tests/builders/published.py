"""Everything that a run published, as plain rows: what must not depend on how it was computed or where it is kept."""

import json
from pathlib import Path
from typing import Any

from sqlalchemy import text

from featlas.store.session import Store

Rows = list[tuple[Any, ...]]

_BY_SNAPSHOT = ("features", "feature_columns", "feature_activations", "feature_tokens")
_ADDRESSES = ("snapshot_id", "run_id", "corpus_id", "id", "seq", "created_at", "published_at", "uid")
_JSON_COLUMNS = ("intervals", "top_tokens", "n_excluded", "quality", "position_n_tokens", "metadata", "self_check")


def read_published(store: Store, run_id: int) -> dict[str, Rows]:
    """The rows of every published table by name, sorted, without the numbers that only say where they lie."""
    with store.read() as session:
        found = session.execute(text("SELECT * FROM runs WHERE id = :id"), {"id": run_id}).mappings().one()
        where = {"snapshot": found["current_snapshot_id"], "run": run_id, "corpus": found["corpus_id"]}
        statements = {name: f"SELECT * FROM {name} WHERE snapshot_id = :snapshot" for name in _BY_SNAPSHOT}
        statements["snapshots"] = "SELECT * FROM snapshots WHERE id = :snapshot"
        statements["contexts"] = "SELECT * FROM contexts WHERE run_id = :run"
        statements["documents"] = "SELECT * FROM documents WHERE corpus_id = :corpus"
        statements["self_check"] = "SELECT self_check FROM runs WHERE id = :run"
        return {name: _plain_rows(session.execute(text(sql), where)) for name, sql in statements.items()}


def _plain_rows(result: Any) -> Rows:
    rows = [
        tuple((name, _plain(name, value)) for name, value in row.items() if name not in _ADDRESSES)
        for row in result.mappings()
    ]
    return sorted(rows, key=repr)


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, memoryview):
        return bytes(value)
    if name in _JSON_COLUMNS:
        return json.dumps(json.loads(value) if isinstance(value, str) else value, sort_keys=True)
    if isinstance(value, bool):
        return int(value)
    return value


def assert_same_published(expected: dict[str, Rows], actual: dict[str, Rows]) -> None:
    """Bitwise equality, table by table, told by the first row that differs."""
    assert expected.keys() == actual.keys()
    for table, rows in expected.items():
        assert len(rows) == len(actual[table]), table
        for one, other in zip(rows, actual[table], strict=True):
            differing = [pair for pair in zip(one, other, strict=True) if repr(pair[0]) != repr(pair[1])]
            assert not differing, (table, [(name, str(value)[:80]) for name, value in one[:3]], str(differing)[:2000])


def read_files(folder: Path) -> dict[str, bytes]:
    """The bytes of the block files and tables of a run's artifact folder, by path."""
    paths = [*folder.glob("blocks/*.safetensors"), *folder.glob("tables/*.safetensors")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


def assert_same_files(expected: dict[str, bytes], actual: dict[str, bytes]) -> None:
    assert expected.keys() == actual.keys()
    assert [] == [name for name in expected if expected[name] != actual[name]]
