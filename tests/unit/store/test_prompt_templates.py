"""Templates have versions that nobody rewrites, and exactly one of them is the default, whoever writes at once."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from tests.builders.templates import Named, add_label, at_once, default_of, fetched, listed, several, shipped, wording

from featlas.domain import PromptTemplate
from featlas.errors import ConflictError, FeatlasError, InputError, NotFoundError
from featlas.store.prompt_templates import (
    add_template,
    clone_template,
    count_use,
    delete_template,
    edit_template,
    fetch_default,
    import_templates,
    list_templates,
    set_default,
    set_favorite,
    sync_shipped,
)
from featlas.store.session import Store
from featlas.store.tables import PromptTemplateRow, PromptTemplateVersionRow
from featlas.store.uids import new_uid

# One template


def test_a_template_is_added_in_its_first_version(store: Store) -> None:
    added = add_template(store, "  mine ", " What it is for. ", wording(n_top=3))
    expected = PromptTemplate(
        id=added.id,
        uid=added.uid,
        name="mine",
        description="What it is for.",
        is_shipped=False,
        is_default=False,
        is_favorite=False,
        usage_count=0,
        version_id=added.version_id,
        version=1,
        n_versions=1,
        wording=wording(n_top=3),
        created_at=added.created_at,
        updated_at=added.updated_at,
    )
    assert expected == added == fetched(store, "mine")
    assert abs(added.created_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "0 characters; expected 1 … 255"),
        (" \n ", "0 characters"),
        ("x" * 256, "256 characters; expected 1 … 255"),
        ("12", "digits alone mean its number"),
        ("١٢", "digits alone mean its number"),
        ("a\nb", "control character U\\+000A"),
        ("a\0b", "control character U\\+0000"),
        ("a\x1b[31mb", "control character U\\+001B"),
        ("a\u2028b", "control character U\\+2028"),
        ("a\ud800", "control character U\\+D800"),
    ],
)
def test_a_name_that_cannot_be_told_is_refused_everywhere(store: Store, name: str, message: str) -> None:
    add_template(store, "mine", "", wording())
    for act in (
        lambda: add_template(store, name, "", wording()),
        lambda: edit_template(store, "mine", name=name),
        lambda: clone_template(store, "mine", name),
        lambda: import_templates(store, [Named(name, "", wording())]),
    ):
        with pytest.raises(InputError, match=message):
            act()
    assert ["mine"] == listed(store)


@pytest.mark.parametrize("name", ["x" * 255, "3 examples", "Große 説明 👩‍🚀", "{tokens}", "a/b?c#d", "'; DROP TABLE x"])
def test_any_other_name_is_kept_and_found(store: Store, name: str) -> None:
    added = add_template(store, name, "", wording())
    assert (name, added) == (added.name, fetched(store, name))


@pytest.mark.parametrize("text", ["x" * 2001, "a\0b", "a\x07b", "a\ud800"])
def test_a_description_that_cannot_be_shown_is_refused(store: Store, text: str) -> None:
    with pytest.raises(InputError, match="the description"):
        add_template(store, "mine", text, wording())
    assert [] == listed(store)


def test_a_description_may_have_lines(store: Store) -> None:
    assert "a\n\tb" == add_template(store, "mine", "a\n\tb\n", wording()).description


def test_a_name_is_given_once(store: Store) -> None:
    add_template(store, "mine", "", wording())
    add_template(store, "other", "", wording())
    for act in (
        lambda: add_template(store, " mine", "", wording("two")),
        lambda: edit_template(store, "other", name="mine"),
        lambda: clone_template(store, "other", "mine"),
        lambda: import_templates(store, [Named("mine", "", wording())]),
    ):
        with pytest.raises(ConflictError, match="'mine'"):
            act()
    assert ["mine", "other"] == listed(store)


# Clones, marks, uses


def test_a_clone_says_the_same_and_is_nobodys_favourite(store: Store) -> None:
    sync_shipped(store, shipped("one", "general"))
    set_favorite(store, "general", True)
    edit_template(store, "general", wording=wording("two"))
    clone = clone_template(store, "general", "mine")
    assert (clone.is_shipped, clone.is_default, clone.is_favorite, clone.usage_count) == (False, False, False, 0)
    assert ("about general", wording("two"), 1) == (clone.description, clone.wording, clone.version)
    assert wording("one") == clone_template(store, "general", "older", 1).wording
    edit_template(store, "mine", wording=wording("three"))
    assert wording("two") == fetched(store, "general").wording


def test_favourites_are_marked_and_listed(store: Store) -> None:
    for name in ("b", "a", "C"):
        add_template(store, name, "", wording())
    set_default(store, "b")
    before = fetched(store, "C")
    marked = set_favorite(store, "C", True)
    assert replace(before, is_favorite=True) == marked
    assert (["b", "C", "a"], ["C"]) == (listed(store), listed(store, favorites_only=True))
    assert before == set_favorite(store, "C", False)
    assert [] == listed(store, favorites_only=True)


def test_a_use_is_counted_and_changes_nothing_else(store: Store) -> None:
    before = add_template(store, "mine", "", wording())
    with store.write() as session:
        count_use(session, before.id)
    assert replace(before, usage_count=1) == fetched(store, "mine")
    with store.write() as session, pytest.raises(NotFoundError, match="no template 77"):
        count_use(session, 77)


def test_uses_at_once_are_all_counted(store: Store) -> None:
    mine = add_template(store, "mine", "", wording())

    def use(_: int) -> None:
        with store.write() as session:
            count_use(session, mine.id)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(40)))
    assert 40 == fetched(store, "mine").usage_count


def test_an_unused_template_is_deleted_with_its_versions(store: Store) -> None:
    mine = add_template(store, "mine", "", wording("one"))
    edit_template(store, "mine", wording=wording("two"))
    assert delete_template(store, "mine").id == mine.id
    assert [] == listed(store)
    with store.read() as session:
        assert 0 == session.scalar(sa.select(sa.func.count()).select_from(PromptTemplateVersionRow))
    assert 1 == add_template(store, "mine", "", wording()).version


def test_what_is_needed_is_not_deleted(store: Store) -> None:
    sync_shipped(store, shipped())
    used = add_template(store, "used", "", wording("one"))
    edit_template(store, "used", wording=wording("two"))
    add_label(store, used.version_id)
    with pytest.raises(ConflictError, match=r"'general' is the default; make another one the default first"):
        delete_template(store, "general")
    with pytest.raises(ConflictError, match=r"'rare' came with Featlas and would come back; mark .* favourites"):
        delete_template(store, "rare")
    with pytest.raises(ConflictError, match=r"1 labels were made with the template 'used'"):
        delete_template(store, "used")
    assert ["general", "rare", "used"] == listed(store)


# The default


def test_the_default_is_one(store: Store) -> None:
    with store.read() as session, pytest.raises(NotFoundError, match="there is no default template"):
        fetch_default(session)
    for name in ("one", "two"):
        add_template(store, name, "", wording())
    assert set_default(store, "one").is_default
    before = fetched(store, "two")
    assert replace(before, is_default=True) == set_default(store, "two")
    assert not fetched(store, "one").is_default
    assert "two" == default_of(store)
    assert set_default(store, "two").is_default


def test_the_database_itself_refuses_a_second_default(store: Store) -> None:
    for name in ("one", "two"):
        add_template(store, name, "", wording())
    with pytest.raises(sa.exc.IntegrityError), store.write() as session:
        session.execute(sa.update(PromptTemplateRow).values(is_default=True))


@pytest.fixture
def opened(store: Store, store_url: str) -> Iterator[list[Store]]:
    with several(store_url) as stores:
        yield stores


def test_writers_at_once_leave_exactly_one_default_at_every_moment(store: Store, opened: list[Store]) -> None:
    names = [f"t{n}" for n in range(4)]
    for name in names:
        add_template(store, name, "", wording())
    set_default(store, "t0")
    is_over = threading.Event()
    seen: set[int] = set()

    def watch() -> None:
        while not is_over.is_set():
            with store.read() as session:
                seen.add(sum(template.is_default for template in list_templates(session)))

    def write(by: Store, shift: int) -> list[str]:
        return [set_default(by, names[(n + shift) % 4]).name for n in range(25)]

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        done = at_once(*(lambda by=by, n=n: write(by, n) for n, by in enumerate(opened)))
    finally:
        is_over.set()
        watcher.join()
    assert [25, 25, 25] == [len(names) for names in done]
    assert {1} == seen
    assert default_of(store) in {names[(24 + shift) % 4] for shift in range(3)}


def test_a_template_that_becomes_the_default_while_it_is_deleted_is_one_or_the_other(
    store: Store, opened: list[Store]
) -> None:
    add_template(store, "stays", "", wording())
    set_default(store, "stays")
    for turn in range(10):
        name = f"t{turn}"
        add_template(store, name, "", wording())
        made, deleted = at_once(
            lambda name=name: set_default(opened[0], name), lambda name=name: delete_template(opened[1], name)
        )
        if isinstance(made, NotFoundError):
            assert isinstance(deleted, PromptTemplate)
        else:
            assert isinstance(deleted, ConflictError)
        assert default_of(store) == (name if isinstance(made, PromptTemplate) else "stays")
        set_default(store, "stays")


def test_edits_at_once_take_turns(store: Store, opened: list[Store]) -> None:
    add_template(store, "mine", "", wording("zero"))

    def edit(by: Store, expected: int | None) -> Callable[[], object]:
        return lambda: edit_template(by, "mine", wording=wording(new_uid()), expected_version=expected)

    versions = {found.version for found in at_once(*(edit(by, None) for by in opened))}
    assert {2, 3, 4} == versions
    outcomes = at_once(*(edit(by, 4) for by in opened))
    assert 1 == sum(isinstance(outcome, PromptTemplate) for outcome in outcomes)
    assert 2 == sum(isinstance(outcome, ConflictError) for outcome in outcomes)
    assert 5 == fetched(store, "mine").version


def test_a_name_taken_at_once_is_taken_once(store: Store, opened: list[Store]) -> None:
    outcomes = at_once(*(lambda by=by: add_template(by, "mine", "", wording()) for by in opened))
    assert 1 == sum(isinstance(outcome, PromptTemplate) for outcome in outcomes)
    assert 2 == sum(isinstance(outcome, ConflictError) for outcome in outcomes)


# Importing


def test_a_file_is_imported_as_a_whole(store: Store) -> None:
    imported = import_templates(store, [Named(" b ", "why", wording("one")), Named("a", "", wording("two"))])
    assert ["b", "a"] == [template.name for template in imported]
    assert imported == [fetched(store, "b"), fetched(store, "a")]
    assert ("why", False, False) == (imported[0].description, imported[0].is_shipped, imported[0].is_default)


def test_where_anything_is_wrong_nothing_is_imported(store: Store) -> None:
    add_template(store, "mine", "", wording())
    files: list[tuple[list[Named], type[FeatlasError], str]] = [
        ([Named("new", "", wording()), Named("mine", "", wording())], ConflictError, "'mine'; nothing was imported"),
        ([Named("new", "", wording()), Named("12", "", wording())], InputError, "digits alone"),
        ([Named("new", "", wording()), Named("more", "x\0", wording())], InputError, "the description"),
        ([Named("new", "", wording()), Named(" new", "", wording())], InputError, "same name"),
    ]
    for templates, kind, message in files:
        with pytest.raises(kind, match=message):
            import_templates(store, templates)
    assert ["mine"] == listed(store)


def test_an_import_may_bring_new_versions(store: Store) -> None:
    sync_shipped(store, shipped())
    mine = add_template(store, "mine", "old", wording("one"))
    templates = [
        Named("mine", "new", wording("two")),
        Named("rare", "about rare", wording("one")),
        Named("other", "", wording()),
    ]
    updated, rare, other = import_templates(store, templates, update=True)
    assert (mine.id, 2, wording("two"), "new") == (updated.id, updated.version, updated.wording, updated.description)
    assert (1, True, 1) == (rare.version, rare.is_shipped, other.version)
