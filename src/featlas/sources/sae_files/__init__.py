"""Reads SAEs from disk: one small module per format, each turning its files into the canonical form."""

from pathlib import Path

from featlas.errors import InputError, NotFoundError
from featlas.sources.sae_files.sae_file import SaeFile
from featlas.sources.sae_files.saelens import SaeLensFormat

FORMATS = (SaeLensFormat(),)


def load_sae(path: str) -> SaeFile:
    """Open the SAE in a folder, whichever format it has.

    Raises:
        NotFoundError: there is no such folder.
        InputError: no format fits, or the files are incomplete, damaged or contradict each other.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise NotFoundError(f"SAE folder {path!r} does not exist; give a folder with {FORMATS[0].expects}")
    for sae_format in FORMATS:
        if sae_format.fits(folder):
            return sae_format.load(folder)
    found = ", ".join(sorted(child.name for child in folder.iterdir())[:8]) or "nothing"
    expected = "; or ".join(f"{f.name}: {f.expects}" for f in FORMATS)
    raise InputError(f"{path}: no known SAE format; found {found}; expected {expected}")


__all__ = ["FORMATS", "SaeFile", "load_sae"]
