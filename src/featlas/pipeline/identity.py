"""Says when two extractions are the same computation, without opening a model: the CLI asks before it starts."""

from pathlib import Path

from featlas.pipeline.plan import inputs_fingerprint
from featlas.specs import ExtractSpec


def extraction_hash(spec: ExtractSpec) -> str:
    """Hash of the spec and of the state (names, sizes, times) of the text files, the SAE and a local model."""
    return spec.content_hash(inputs_fingerprint(spec), *(_folder_state(place) for place in (spec.sae, spec.model)))


def artifact_name(spec_hash: str, job_id: int | None) -> str:
    """Name of the folder that holds a run's tokens and blocks: the same for every attempt of one job.

    `*` for the hash gives the pattern of all folders of the job.
    """
    return f"job-{job_id or 0:06d}-{spec_hash[:12]}"


def _folder_state(place: str) -> str:
    folder = Path(place).expanduser()
    if not folder.is_dir():
        return place
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])
