"""Every text that a spec names is read as one stream of documents, whatever file, folder or data set it lies in."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featlas.errors import InputError, NotFoundError
from featlas.sources.text_files import SUFFIXES, find_suffix, read_file
from featlas.sources.text_rows import Document, to_json
from featlas.sources.text_sets import PREFIX, HubName, is_saved_set, read_hub_set, read_saved_set
from featlas.specs import TextSpec

__all__ = ["Document", "TextInput", "find_inputs", "is_streamed", "list_files", "read_documents"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextInput:
    """One thing to read: a file, a save_to_disk folder, or a data set of the hub (then path is None)."""

    path: Path | None
    source: str


def read_documents(spec: TextSpec) -> Iterator[Document]:
    """Iterate all documents in the order given: files of a folder sorted by path, rows as they come.

    Memory holds a few hundred rows, or one .txt file, at a time. Nothing is left out: an empty text is a document too.
    Raises NotFoundError for a missing file or set, InputError for broken content (naming file and line, row or byte),
    ExternalError where the disk or the hub fails.
    """
    for text_input in find_inputs(spec):
        if text_input.path is None:
            yield from read_hub_set(text_input.source, spec.text_field, spec.tokens_field)
        elif text_input.path.is_dir():
            yield from read_saved_set(text_input.path, spec.text_field, spec.tokens_field)
        else:
            yield from read_file(text_input.path, text_input.source, spec.text_field, spec.tokens_field)


def is_streamed(spec: TextSpec) -> bool:
    """Whether any text is a hub data set, which is read once and not twice."""
    return any(name.startswith(PREFIX) for name in spec.text)


def find_inputs(spec: TextSpec) -> list[TextInput]:
    """What the spec's names stand for, in order. Raises NotFoundError or InputError before anything is read."""
    inputs: list[TextInput] = []
    for name in spec.text:
        if name.startswith(PREFIX):
            HubName.parse(name)
            inputs.append(TextInput(None, name))
            continue
        path = Path(name).expanduser()
        if not path.exists():
            raise NotFoundError(f"no file or folder {name}; check the path (hub data sets are named hf:NAME)")
        if path.is_dir() and not is_saved_set(path):
            inputs += _find_in_folder(path)
        elif path.is_file() and find_suffix(path) not in SUFFIXES:
            raise InputError(f"{path}: unknown suffix; expected one of {' '.join(SUFFIXES)}, or a folder")
        else:
            inputs.append(TextInput(path, to_json(path.name)))
    return inputs


def _find_in_folder(folder: Path) -> list[TextInput]:
    """The readable files below a folder, sorted; hidden ones are no texts, others that cannot be read are reported."""
    found: list[TextInput] = []
    n_skipped = 0
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or any(part.startswith(".") for part in relative.parts):
            continue
        if find_suffix(path) in SUFFIXES:
            found.append(TextInput(path, to_json(f"{folder.resolve().name}/{relative.as_posix()}")))
        else:
            n_skipped += 1
    if not found:
        raise InputError(f"{folder} holds no text; expected files with one of {' '.join(SUFFIXES)}")
    if n_skipped:
        logger.warning(
            "%s: %d files have another suffix than %s and are not read", folder, n_skipped, " ".join(SUFFIXES)
        )
    return found


def list_files(spec: TextSpec) -> list[Path]:
    """Every file that read_documents reads from the disk; a change in one means other documents."""
    files: list[Path] = []
    for text_input in find_inputs(spec):
        path = text_input.path
        if path is None:
            path = Path(HubName.parse(text_input.source).name)
        if path.is_dir():
            files += sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path.is_file():
            files.append(path)
    return files
