"""A row of a table becomes a document: which column is the text, which the tokens, and what the rest is kept as."""

import datetime
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.errors import InputError

TOKEN_COLUMNS = ("tokens", "input_ids")
ID_COLUMNS = ("id", "_id", "doc_id", "document_id", "external_id")


@dataclass(frozen=True, eq=False)
class Document:
    """One source text, or the token ids of one that is already tokenised; exactly one of the two is given.

    `source` is the file or data set it came from; `external_id` the row's own id, else its line or row number from 1
    on, None for a file that is one document. `metadata` holds all other columns, ready for JSON.
    """

    text: str | None
    token_ids: NDArray[np.uint32] | None
    source: str
    external_id: str | None
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One row and its place for messages, such as `a.jsonl:17`."""

    place: str
    number: int
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """Which column of a source holds the text, or else the token ids."""

    text: str
    tokens: str


def read_rows(rows: Iterable[Row], source: str, text_field: str, tokens_field: str) -> Iterator[Document]:
    """Make a document of each row; the columns are settled by the first. Raises InputError naming the row's place."""
    columns: Columns | None = None
    for row in rows:
        columns = columns or find_columns(row, text_field, tokens_field)
        yield _to_document(row, source, columns)


def find_columns(row: Row, text_field: str, tokens_field: str) -> Columns:
    """The named column; else `text`, the only text column or a column of token ids. InputError lists the fields."""
    if tokens_field:
        _require_field(row, tokens_field)
        return Columns("", tokens_field)
    if text_field:
        _require_field(row, text_field)
        return Columns(text_field, "")
    if "text" in row.values:
        return Columns("text", "")
    others = (*ID_COLUMNS, *TOKEN_COLUMNS)
    texts = [name for name, value in row.values.items() if isinstance(value, str) and name not in others]
    tokens = [name for name in TOKEN_COLUMNS if _is_id_list(row.values.get(name))]
    if len(texts) == 1 and not tokens:
        return Columns(texts[0], "")
    if tokens and not texts:
        return Columns("", tokens[0])
    raise InputError(
        f"{row.place}: cannot tell which column is the text; there are {_names(row)}; "
        "name one with --text-field, or --tokens-field for token ids"
    )


def _is_id_list(value: object) -> bool:
    return isinstance(value, list | tuple | np.ndarray)


def _names(row: Row) -> str:
    return ", ".join(repr(name) for name in row.values) or "none"


def _require_field(row: Row, name: str) -> None:
    if name not in row.values:
        raise InputError(f"{row.place}: no field {name!r}; there are {_names(row)}; name another, or mend the row")


def _to_document(row: Row, source: str, columns: Columns) -> Document:
    name = columns.tokens or columns.text
    _require_field(row, name)
    value = row.values[name]
    text = None if columns.tokens else check_text(value, f"{row.place}: field {name!r}")
    token_ids = _check_token_ids(value, f"{row.place}: field {name!r}") if columns.tokens else None
    id_name = next((n for n in ID_COLUMNS if isinstance(row.values.get(n), str | int) and n != name), None)
    metadata = {str(to_json(n)): to_json(v) for n, v in row.values.items() if n not in (name, id_name)}
    external_id = str(row.number) if id_name is None else to_json(str(row.values[id_name]))
    return Document(text, token_ids, source, external_id, metadata)


def check_text(value: object, place: str) -> str:
    """The value, if it is text that UTF-8 can hold; raises InputError otherwise."""
    if not isinstance(value, str):
        found = "null" if value is None else type(value).__name__
        raise InputError(f"{place} is {found}; text was expected; mend or remove the row")
    try:
        # A lone half of a surrogate pair, which JSON can spell, is no character, and no tokenizer takes it.
        value.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"{place} has half a surrogate pair at character {error.start}; mend or remove the row"
        ) from error
    return value


def _check_token_ids(value: object, place: str) -> NDArray[np.uint32]:
    if isinstance(value, str):
        value = _split_ids(value, place)
    if not _is_id_list(value):
        found = "null" if value is None else type(value).__name__
        raise InputError(f"{place} is {found}; a list of token ids was expected; mend or remove the row")
    try:
        ids = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{place} is not a flat list of token ids; mend or remove the row") from error
    if ids.size == 0:
        return np.zeros(0, dtype=np.uint32)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise InputError(f"{place} is not a flat list of whole numbers; mend or remove the row")
    if int(ids.min()) < 0 or int(ids.max()) >= 2**32:
        wrong = next(int(i) for i in ids if not 0 <= int(i) < 2**32)
        raise InputError(f"{place} has the token id {wrong}; ids from 0 to {2**32 - 1} were expected")
    return ids.astype(np.uint32)


def _split_ids(text: str, place: str) -> list[int]:
    """Ids as a CSV file spells them: `[1, 2, 3]` or `1 2 3`."""
    try:
        return [int(word) for word in text.strip().removeprefix("[").removesuffix("]").replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"{place} is not a list of token ids; write them as [1, 2, 3] or 1 2 3") from error


def to_json(value: Any) -> Any:
    """The value as JSON can hold it: times in ISO 8601, bytes as text, NaN and infinities as null."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    if isinstance(value, Mapping):
        return {str(to_json(name)): to_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [to_json(inner) for inner in value]
    if isinstance(value, datetime.date | datetime.time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, np.ndarray | np.generic):
        return to_json(value.tolist())
    return str(value)
