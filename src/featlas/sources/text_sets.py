"""Hugging Face data sets are read row by row: folders made by save_to_disk, and sets of the hub, streamed."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from featlas.errors import ExternalError, InputError, NotFoundError
from featlas.sources.text_rows import Document, Row, read_rows

PREFIX = "hf:"


@dataclass(frozen=True)
class HubName:
    """`hf:NAME[:CONFIG][@REVISION]`, in parts; NAME is a hub id or a local folder in the hub's layout."""

    name: str
    config: str
    revision: str

    @classmethod
    def parse(cls, text: str) -> "HubName":
        """Raises InputError where the name is missing."""
        rest, _, revision = text.removeprefix(PREFIX).partition("@")
        name, _, config = rest.partition(":")
        if not name:
            raise InputError(f"{text!r} names no data set; expected hf:NAME, hf:NAME:CONFIG or hf:NAME:CONFIG@REVISION")
        return cls(name, config, revision)


def is_saved_set(folder: Path) -> bool:
    """Whether a folder was written by a data set's save_to_disk."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def read_saved_set(folder: Path, text_field: str, tokens_field: str) -> Iterator[Document]:
    """All splits of a save_to_disk folder, one after another; raises InputError where the folder is broken."""
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        parts = _splits(folder.name, datasets.load_from_disk(str(folder)))
    except (OSError, ValueError, KeyError, TypeError, DatasetsError) as error:
        raise InputError(f"{folder} is not a whole data set ({error}); save it again with save_to_disk") from error
    for source, rows in parts:
        numbered = (Row(f"{folder} ({source}), row {n}", n, row) for n, row in enumerate(_plain(rows, folder), 1))
        yield from read_rows(numbered, source, text_field, tokens_field)


def read_hub_set(text: str, text_field: str, tokens_field: str) -> Iterator[Document]:
    """All splits of a hub data set, streamed; NotFoundError where there is none, ExternalError where the hub fails."""
    import datasets
    from datasets.exceptions import DatasetNotFoundError, DatasetsError

    hub = HubName.parse(text)
    try:
        loaded = datasets.load_dataset(hub.name, hub.config or None, revision=hub.revision or None, streaming=True)
    except DatasetNotFoundError as error:
        raise NotFoundError(f"no data set {hub.name!r} on the hub or the disk ({error}); check the spelling") from error
    except (ValueError, DatasetsError) as error:
        raise InputError(f"{text}: {error}") from error
    except OSError as error:
        raise _unreachable(text, error) from error
    local = Path(hub.name)
    for source, rows in _splits(local.name if local.is_dir() else hub.name, loaded):
        numbered = (Row(f"{text} ({source}), row {n}", n, row) for n, row in enumerate(_plain(rows, text), 1))
        yield from read_rows(numbered, source, text_field, tokens_field)


def _splits(name: str, loaded: Any) -> list[tuple[str, Any]]:
    """(source, rows) of each split; nothing is left out, so a set of one split and a dictionary of them read alike."""
    if hasattr(loaded, "keys"):
        return [(f"{name}:{split}", loaded[split]) for split in loaded]
    return [(name, loaded)]


def _plain(rows: Any, place: Path | str) -> Iterator[dict[str, Any]]:
    """Rows as dictionaries; what breaks while they are read is named."""
    from datasets.exceptions import DatasetsError

    iterator = iter(rows)
    while True:
        try:
            row = next(iterator, None)
        except (ValueError, DatasetsError) as error:
            raise InputError(f"{place}: broken data set ({error}); download or save it again") from error
        except OSError as error:
            raise _unreachable(str(place), error) from error
        if row is None:
            return
        yield row


def _unreachable(place: str, error: OSError) -> ExternalError:
    return ExternalError(f"could not read {place} ({error}); check the connection and try again", retryable=True)
