"""Templates are found by what people call them, and every version that they had can be read."""

from dataclasses import replace

import pytest
from tests.builders.templates import add_label, fetched, listed, wording

from featlas.domain import EvidenceOptions, PromptWording
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.prompt_templates import (
    add_template,
    clone_template,
    delete_template,
    edit_template,
    set_default,
    set_favorite,
)
from featlas.store.session import Store
from featlas.store.template_versions import fetch_version, list_versions, stale_versions


def stale(store: Store) -> set[int]:
    with store.read() as session:
        return stale_versions(session)


def test_a_template_is_found_by_number_name_and_start_of_its_uid(store: Store) -> None:
    mine = add_template(store, "mine", "", wording())
    for ref in (mine.id, str(mine.id), "mine", mine.uid, mine.uid.upper(), mine.uid[:-1]):
        assert mine == fetched(store, ref)


def test_a_start_that_several_uids_have_is_refused(store: Store) -> None:
    uids = [add_template(store, name, "", wording()).uid for name in ("one", "two")]
    with pytest.raises(InputError, match=f"several templates.*{uids[0]}, {uids[1]}"):
        fetched(store, uids[0][:4])


@pytest.mark.parametrize("ref", ["nobody", 77, "77", 2**70, "9" * 5000, "", "a\0b", "\ud800", "%", "0" * 8, "-1", -1])
def test_what_is_not_there_is_not_found(store: Store, ref: int | str) -> None:
    with pytest.raises(NotFoundError, match="there are none yet; `featlas templates add`"):
        fetched(store, ref)
    add_template(store, "mine", "", wording())
    with pytest.raises(NotFoundError, match=r"no template has the number, name or uid .* there are mine"):
        fetched(store, ref)
    for act in (
        lambda: edit_template(store, ref, name="x"),
        lambda: clone_template(store, ref, "x"),
        lambda: set_default(store, ref),
        lambda: set_favorite(store, ref, True),
        lambda: delete_template(store, ref),
    ):
        with pytest.raises(NotFoundError):
            act()


def test_another_wording_is_a_new_version_and_the_old_one_stays(store: Store) -> None:
    first = add_template(store, "mine", "", wording("one"))
    second = edit_template(store, "mine", wording=wording("two"))
    assert (2, 2, wording("two")) == (second.version, second.n_versions, second.wording)
    assert second == fetched(store, "mine") == fetched(store, first.id, 2)
    old = fetched(store, "mine", 1)
    assert (first.version_id, 1, 2, wording("one")) == (old.version_id, old.version, old.n_versions, old.wording)
    with store.read() as session:
        assert old == fetch_version(session, first.version_id)
        assert second == fetch_version(session, second.version_id)
    assert first.updated_at < second.updated_at


@pytest.mark.parametrize("changed", [wording(n_top=7), wording(window=41), replace(wording(), system_text="s")])
def test_each_part_of_a_wording_makes_a_version(store: Store, changed: PromptWording) -> None:
    add_template(store, "mine", "", wording())
    assert (2, changed) == (edit_template(store, "mine", wording=changed).version, fetched(store, "mine").wording)


def test_the_wording_in_force_again_is_no_version(store: Store) -> None:
    first = add_template(store, "mine", "", wording())
    assert first == edit_template(store, "mine", wording=wording())


def test_name_and_description_are_no_versions(store: Store) -> None:
    first = add_template(store, "mine", "", wording())
    edited = edit_template(store, "mine", name="yours", description="why")
    assert ("yours", "why", 1, first.version_id) == (
        edited.name,
        edited.description,
        edited.version,
        edited.version_id,
    )
    assert first.updated_at < edited.updated_at
    assert ["yours"] == listed(store)
    assert edited == edit_template(store, "yours", name="yours")


def test_going_back_to_an_older_wording_is_a_new_version_with_the_old_content(store: Store) -> None:
    first = add_template(store, "mine", "", wording("one"))
    second = edit_template(store, "mine", wording=wording("two"))
    assert {first.version_id} == stale(store)
    third = edit_template(store, "mine", wording=wording("one"))
    assert (3, wording("one")) == (third.version, third.wording)
    assert {second.version_id} == stale(store)
    with store.read() as session:
        history = list_versions(session, "mine")
    assert [(3, False), (2, True), (1, False)] == [(entry.version, entry.is_stale) for entry in history]
    assert history[0].content_hash == history[2].content_hash == wording("one").content_hash


def test_stale_is_within_a_template(store: Store) -> None:
    assert set() == stale(store)
    mine = add_template(store, "mine", "", wording("one"))
    clone = clone_template(store, "mine", "clone")
    edit_template(store, "clone", wording=wording("two"))
    assert {clone.version_id} == stale(store)
    edit_template(store, "mine", wording=wording("two"))
    assert {clone.version_id, mine.version_id} == stale(store)


def test_the_history_counts_the_labels_of_each_version(store: Store) -> None:
    first = add_template(store, "mine", "", wording("one"))
    second = edit_template(store, "mine", wording=wording("two"))
    for version in (first, first, second):
        add_label(store, version.version_id)
    with store.read() as session:
        history = list_versions(session, "mine")
    assert [(2, 1), (1, 2)] == [(entry.version, entry.n_labels) for entry in history]
    assert [wording("two"), wording("one")] == [entry.wording for entry in history]


@pytest.mark.parametrize("version", [0, 2, -1, 2**40, 2**70])
def test_a_version_that_was_never_there_is_not_found(store: Store, version: int) -> None:
    mine = add_template(store, "mine", "", wording())
    with pytest.raises(NotFoundError, match=f"'mine' has no version {version}; it has 1 … 1"):
        fetched(store, "mine", version)
    with store.read() as session, pytest.raises(NotFoundError, match="no version"):
        fetch_version(session, mine.version_id + version if version > 0 else version)


def test_a_change_that_somebody_made_meanwhile_is_not_overwritten(store: Store) -> None:
    add_template(store, "mine", "", wording("one"))
    edit_template(store, "mine", wording=wording("two"), expected_version=1)
    with pytest.raises(ConflictError, match=r"'mine' has changed \(version 2, expected 1\)"):
        edit_template(store, "mine", name="other", wording=wording("three"), expected_version=1)
    assert ("mine", wording("two")) == (fetched(store, "mine").name, fetched(store, "mine").wording)


def test_a_version_that_was_deleted_is_never_another(store: Store) -> None:
    """Jobs and caches hold on to ids."""
    add_template(store, "mine", "", wording())
    gone = clone_template(store, "mine", "gone")
    delete_template(store, "gone")
    after = clone_template(store, "mine", "after")
    assert after.id > gone.id
    assert after.version_id > gone.version_id
    with store.read() as session, pytest.raises(NotFoundError, match="it may have been deleted"):
        fetch_version(session, gone.version_id)


def test_any_text_comes_back_as_it_was(store: Store) -> None:
    said = PromptWording('{"a": {}} \\ %s', "\t{tokens}\n\n  ⟪x⟫7 👩‍🚀 \u202e 'q' {answer_format}\n", EvidenceOptions())
    assert said == add_template(store, "mine", "", said).wording == fetched(store, "mine").wording
