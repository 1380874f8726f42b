"""The API over a small run whose features can be asked about, with providers that ask a scripted server."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from tests.builders.labelings import Labelings

from featlas.api.app import create_app
from featlas.api.surroundings import Surroundings
from featlas.entry.providers import list_providers, try_provider
from featlas.pipeline.registry import KINDS
from featlas.settings import Settings
from featlas.store.session import Store
from featlas.testing.scripted_chat import ScriptedChat

HOST = "http://localhost"
KEY = "sk-canary-of-this-test"


class LabelingApi(Labelings):
    """The API over a store with a run of ten features, in this process; its providers ask a scripted server."""

    def __init__(self, store: Store, artifacts: Path, chat: ScriptedChat) -> None:
        super().__init__(store, artifacts)
        self.chat = chat
        settings = Settings(home=artifacts, openai_base_url=chat.openai_url)
        here = Surroundings(
            store,
            artifacts,
            {name: kind.spec_class for name, kind in KINDS.items()},
            wake=lambda _job: None,
            has_runner=False,
            version="9.9",
            list_providers=partial(list_providers, settings),
            try_provider=partial(try_provider, settings),
        )
        self.client = TestClient(create_app(here, ui=artifacts), base_url=HOST, raise_server_exceptions=False)
        self.seen: list[str] = []

    def get(self, path: str, code: int = 200, **params: object) -> Any:
        return self._read(self.client.get(f"/api/v1/{path}", params=params), code)

    def post(self, path: str, body: object, code: int = 200) -> Any:
        written = json.dumps(body)  # as ASCII: what cannot be sent otherwise can be sent in escapes
        headers = {"Content-Type": "application/json"}
        return self._read(self.client.post(f"/api/v1/{path}", content=written, headers=headers), code)

    def _read(self, answer: Any, code: int) -> Any:
        self.seen.append(answer.text)
        assert answer.status_code == code, answer.text
        return answer.json()

    def plan(self, code: int = 200, **spec: object) -> Any:
        return self.post("labelings/plan", {"spec": self.fields(**spec)}, code)

    def preview(self, feature: int = 3, code: int = 200, wording: object = None, **spec: object) -> Any:
        body = {"spec": self.fields(**spec), "feature_index": feature, "wording": wording}
        return self.post("labelings/preview", body, code)

    def fields(self, **spec: object) -> dict[str, object]:
        return {"run": self.run.name, "provider": "openai", **spec}
