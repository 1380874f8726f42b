"""Says when two extractions are the same computation, without opening a model: the CLI asks before it starts."""

from pathlib import Path

from featlas.pipeline.plan import inputs_fingerprint
from featlas.specs import ExtractSpec


def extraction_hash(spec: ExtractSpec) -> str:
    """Hash of the spec and of the state (names, sizes, times) of the text files, the SAE and a local model.

    What lies beside an SAE or a model for people to read (Markdown, hidden files) is no part of it.
    """
    return spec.content_hash(inputs_fingerprint(spec), *(_folder_state(place) for place in (spec.sae, spec.model)))


def _folder_state(place: str) -> str:
    folder = Path(place).expanduser()
    if not folder.is_dir():
        return place
    files = sorted(path for path in folder.iterdir() if path.is_file() and not _is_for_people(path.name))
    return repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])


def _is_for_people(name: str) -> bool:
    return name.startswith(".") or name.lower().endswith(".md")
