"""The API's description, from which the UI's types and docs/api.md are made (tools/generate_docs.py writes them)."""

import json
import tempfile
from pathlib import Path

from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.pipeline.registry import KINDS
from featlas.store.session import Store


def describe_api() -> str:
    """The OpenAPI document as JSON text."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/featlas.db")
        specs = {name: kind.spec_class for name, kind in KINDS.items()}
        here = Surroundings(store, Path(folder), specs, wake=lambda _job: None, has_runner=True, version="")
        document = create_app(here, ui=Path(folder)).openapi()
        store.close()
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
