"""The API over a small invented run, in this process."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from tests.builders.labeling_api import KEY, LabelingApi
from tests.builders.stored_runs import (
    OCCURRENCES,
    make_batch,
    make_columns,
    make_contexts,
    make_header,
    make_run,
    register_inputs,
)

from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.domain import FeatureFlag
from featlas.pipeline.registry import KINDS
from featlas.store.library import StoredSae, list_saes
from featlas.store.runs import Run, fetch_run
from featlas.store.session import Store
from featlas.store.snapshots import SnapshotWriter
from featlas.testing.chat_scripts import answer_label
from featlas.testing.scripted_chat import running_chat_server

HOST = "http://localhost"


@dataclass
class Served:
    """A client, and what it is served from."""

    client: TestClient
    store: Store
    run: Run
    sae: StoredSae
    woken: list[int] = field(default_factory=list)

    def get(self, path: str, **params: object):
        return self.client.get(f"/api/v1/{path}", params=params)

    def of_sae(self, path: str, **params: object):
        return self.get(f"saes/{self.sae.uid}/{path}", **params)


def make_served(store: Store, folder: Path, ui: Path, woken: list[int]) -> TestClient:
    specs = {name: kind.spec_class for name, kind in KINDS.items()}
    here = Surroundings(store, folder, specs, wake=woken.append, has_runner=False, version="9.9")
    return TestClient(create_app(here, ui=ui), base_url=HOST, raise_server_exceptions=False)


def publish_with_null_features(store: Store, run: Run) -> None:
    """Features 0 … 3, of which 1 is dead, and the null features 4 and 5."""
    writer = SnapshotWriter(store, run.id, make_header(6), OCCURRENCES)
    batch = make_batch(0, 6, dead=frozenset({1}))
    flags = np.array([0, FeatureFlag.DEAD, 0, 0, FeatureFlag.NULL, FeatureFlag.NULL], dtype=np.uint32)
    batch = replace(batch, flags=flags)
    writer.add_contexts(make_contexts())
    writer.add_features(batch)
    writer.add_columns(make_columns(batch))
    writer.publish()


@pytest.fixture
def served(store: Store, tmp_path: Path) -> Iterator[Served]:
    """A finished run of 4 features and 2 null features; feature 1 is dead."""
    made = make_run(store, register_inputs(store), name="small")
    publish_with_null_features(store, made)
    with store.read() as session:
        run, sae = fetch_run(session, made.id), list_saes(session)[0]
    woken: list[int] = []
    with make_served(store, tmp_path, tmp_path / "no-ui", woken) as client:
        yield Served(client, store, run, sae, woken)


@pytest.fixture
def api(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LabelingApi]:
    """A run that can be labeled, and OpenAI's key; nothing that is answered has the key in it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with running_chat_server(answer_label) as chat:
        made = LabelingApi(store, tmp_path, chat)
        with made.client:
            yield made
        assert KEY[3:] not in "".join(made.seen)
