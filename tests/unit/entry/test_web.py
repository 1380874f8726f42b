"""What the server has at hand before it answers anybody."""

from pathlib import Path

from featlas.entry import web
from featlas.settings import Settings
from featlas.store.prompt_templates import fetch_default, list_templates


def test_a_server_begins_with_the_templates_that_come_with_featlas(tmp_path: Path) -> None:
    for _ in range(2):
        with web.open_store(Settings(home=tmp_path)) as store, store.read() as session:
            assert fetch_default(session).name == "general"
            assert len(list_templates(session)) == 4
