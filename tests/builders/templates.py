"""Made-up prompt templates, and looks at those of a store."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.builders.stored_runs import register_inputs

from featlas.domain import EvidenceOptions, LabelSource, LabelStatus, PromptTemplate, PromptWording
from featlas.errors import FeatlasError
from featlas.store.prompt_templates import fetch_default, fetch_template, list_templates
from featlas.store.session import Store
from featlas.store.tables import LabelRow
from featlas.store.uids import new_uid


@dataclass(frozen=True)
class Named:
    """A template outside of the store."""

    name: str
    description: str
    wording: PromptWording


def wording(text: str = "one", **evidence: int) -> PromptWording:
    return PromptWording("system", f"{text} {{tokens}} {{answer_format}}", EvidenceOptions(**evidence))


def shipped(text: str = "one", *names: str) -> list[Named]:
    return [Named(name, f"about {name}", wording(text)) for name in names or ("general", "rare")]


def fetched(store: Store, ref: int | str, version: int | None = None) -> PromptTemplate:
    with store.read() as session:
        return fetch_template(session, ref, version)


def listed(store: Store, *, favorites_only: bool = False) -> list[str]:
    with store.read() as session:
        return [template.name for template in list_templates(session, favorites_only=favorites_only)]


def default_of(store: Store) -> str:
    with store.read() as session:
        return fetch_default(session).name


def add_label(store: Store, version_id: int) -> None:
    sae_id = register_inputs(store).sae_id
    with store.write() as session:
        session.add(
            LabelRow(
                uid=new_uid(),
                sae_id=sae_id,
                feature_index=0,
                semantic_label="x",
                status=LabelStatus.LABELED,
                source=LabelSource.LLM,
                template_version_id=version_id,
            )
        )


@contextmanager
def several(store_url: str) -> Iterator[list[Store]]:
    """Three stores over one database, as processes have them."""
    stores = [Store.open(store_url) for _ in range(3)]
    yield stores
    for one in stores:
        one.close()


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each of them came to, begun at the same moment in a thread of its own; an error of ours is an answer."""
    together = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        together.wait()
        try:
            return act()
        except FeatlasError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))
