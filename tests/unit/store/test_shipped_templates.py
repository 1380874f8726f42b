"""The templates that come with Featlas are added once, follow its versions, and leave to people what people edited."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from tests.builders.templates import Named, at_once, default_of, fetched, listed, several, shipped, wording

from featlas.errors import ConflictError
from featlas.store.prompt_templates import add_template, edit_template, set_default, sync_shipped
from featlas.store.session import Store
from featlas.store.tables import PromptTemplateRow


@pytest.fixture
def opened(store: Store, store_url: str) -> Iterator[list[Store]]:
    with several(store_url) as stores:
        yield stores


def test_shipped_templates_are_added_once(store: Store) -> None:
    assert ["general", "rare"] == sync_shipped(store, shipped())
    assert ("general", ["general", "rare"]) == (default_of(store), listed(store))
    general = fetched(store, "general")
    assert (True, "about general", wording("one"), 1) == (
        general.is_shipped,
        general.description,
        general.wording,
        general.version,
    )
    assert [] == sync_shipped(store, shipped())
    assert general == fetched(store, "general")


def test_a_new_shipped_wording_follows_the_old_one(store: Store) -> None:
    sync_shipped(store, shipped())
    newer = [Named("general", "better", wording("two")), *shipped("one", "rare")]
    assert ["general"] == sync_shipped(store, newer)
    general = fetched(store, "general")
    assert (2, wording("two"), "better", True) == (
        general.version,
        general.wording,
        general.description,
        general.is_default,
    )
    assert 1 == fetched(store, "rare").version


def test_an_older_version_of_featlas_takes_nothing_back(store: Store) -> None:
    sync_shipped(store, shipped("one"))
    sync_shipped(store, shipped("two"))
    assert [] == sync_shipped(store, shipped("one"))
    assert (2, wording("two")) == (fetched(store, "general").version, fetched(store, "general").wording)


@pytest.mark.parametrize("text", ["my own", "one"])
def test_a_shipped_template_that_a_person_edited_stays_theirs(store: Store, text: str) -> None:
    """Also where a person went back to an older shipped wording."""
    sync_shipped(store, shipped("one"))
    sync_shipped(store, shipped("two"))
    edit_template(store, "general", wording=wording(text))
    assert ["rare"] == sync_shipped(store, shipped("three"))
    assert (3, wording(text)) == (fetched(store, "general").version, fetched(store, "general").wording)


def test_a_shipped_template_keeps_its_name(store: Store) -> None:
    sync_shipped(store, shipped())
    with pytest.raises(ConflictError, match="came with Featlas and keeps its name; clone it"):
        edit_template(store, "general", name="mine")
    assert "why" == edit_template(store, "general", name="general", description="why").description


def test_a_persons_template_of_a_shipped_name_stays_theirs(store: Store) -> None:
    add_template(store, "general", "mine", wording("mine"))
    assert ["rare"] == sync_shipped(store, shipped())
    general = fetched(store, "general")
    assert (False, True, wording("mine")) == (general.is_shipped, general.is_default, general.wording)


def test_the_default_of_a_person_stays_the_default(store: Store) -> None:
    add_template(store, "mine", "", wording())
    set_default(store, "mine")
    sync_shipped(store, shipped())
    assert "mine" == default_of(store)


def test_a_store_that_lost_its_default_gets_one(store: Store) -> None:
    sync_shipped(store, shipped())
    with store.write() as session:
        session.execute(sa.update(PromptTemplateRow).values(is_default=False))
    assert [] == sync_shipped(store, shipped())
    assert "general" == default_of(store)


def test_processes_that_bring_their_templates_at_once_add_them_once(store: Store, opened: list[Store]) -> None:
    outcomes = at_once(*(lambda by=by: sync_shipped(by, shipped()) for by in opened))
    assert [[], [], ["general", "rare"]] == sorted(outcomes)
    outcomes = at_once(*(lambda by=by: sync_shipped(by, shipped("two")) for by in opened))
    assert [[], [], ["general", "rare"]] == sorted(outcomes)
    assert (["general", "rare"], "general", 2) == (listed(store), default_of(store), fetched(store, "rare").version)
