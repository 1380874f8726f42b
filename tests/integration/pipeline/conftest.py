"""Planted models and workbenches for extractions in the test's own process."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.builders.made_texts import made_documents, save_documents
from tests.integration.pipeline.workbench import Workbench

from featlas.store.session import Store
from featlas.testing.planted_sae import Planted, plant

CTX_LEN = 32
MakeWorkbench = Callable[..., Workbench]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Sums in float32 depend on the number of threads."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_documents(tmp_path_factory.mktemp("text") / "made.jsonl", made_documents())


@pytest.fixture(scope="session")
def make_workbench(sqlite_template: Path) -> Iterator[MakeWorkbench]:
    """Opens a workbench in a folder, on an empty SQLite store."""
    with ExitStack() as cleanup:

        def make(folder: Path, **shared: Any) -> Workbench:
            shutil.copy(sqlite_template, folder / "featlas.db")
            store = Store.open(f"sqlite:///{folder / 'featlas.db'}")
            cleanup.callback(store.close)
            return Workbench(folder, store, shared)

        yield make


@pytest.fixture
def workbench(tmp_path: Path, make_workbench: MakeWorkbench, planted: Planted, text: Path) -> Workbench:
    return make_workbench(tmp_path, **planted_spec(planted, text))


def planted_spec(planted: Planted, text: Path) -> dict[str, Any]:
    """Small blocks, so that there are many."""
    return {
        "model": str(planted.model),
        "sae": str(planted.sae),
        "text": (str(text),),
        "ctx_len": CTX_LEN,
        "block_slots": 512,
        "null_features": 16,
    }
