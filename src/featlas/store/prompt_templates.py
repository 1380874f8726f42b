"""Prompt templates in the store: named, versioned by wording, exactly one of them the default.

A template's newest version is in force. Versions are a history that is never rewritten: another wording is a new one,
and so is going back to an older one, which then has the content of the old. What a wording may say is checked by
callers (`featlas.explain.templates.check_wording`), which know the variables.

Writers take turns, on the whole table: "exactly one default" and "no name twice" speak of all rows, also of those that
another writer is about to add.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from featlas.domain import PromptTemplate, PromptWording
from featlas.errors import ConflictError, InputError, NotFoundError
from featlas.store.session import Store
from featlas.store.tables import LabelRow, PromptTemplateRow, PromptTemplateVersionRow, utc_now
from featlas.store.template_versions import (
    TemplateVersion,
    fetch_default,
    fetch_newest,
    fetch_row,
    fetch_template,
    fetch_version,
    list_templates,
    list_versions,
    stale_versions,
    wording_of,
)
from featlas.store.uids import new_uid

__all__ = [
    "HasWording",
    "TemplateVersion",
    "add_template",
    "checked_description",
    "checked_name",
    "clone_template",
    "count_use",
    "delete_template",
    "edit_template",
    "fetch_default",
    "fetch_template",
    "fetch_version",
    "import_templates",
    "list_templates",
    "list_versions",
    "set_default",
    "set_favorite",
    "stale_versions",
    "sync_shipped",
]

MAX_NAME, MAX_DESCRIPTION = 255, 2000


class HasWording(Protocol):
    """A template outside of the store, as it is shipped or imported."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def description(self) -> str:
        """What it is for."""
        ...

    @property
    def wording(self) -> PromptWording:
        """What it asks."""
        ...


def add_template(
    store: Store, name: str, description: str, wording: PromptWording, *, is_shipped: bool = False
) -> PromptTemplate:
    """Add a template in its first version; raises InputError for a bad name, ConflictError for one that is taken."""
    with store.write() as session:
        _take_turns(session)
        return fetch_newest(session, _add(session, name, description, wording, is_shipped=is_shipped).id)


def edit_template(
    store: Store,
    ref: int | str,
    *,
    name: str | None = None,
    description: str | None = None,
    wording: PromptWording | None = None,
    expected_version: int | None = None,
) -> PromptTemplate:
    """Change what is given; another wording is a new version, the one in force again is none.

    `expected_version` is the newest that the caller saw: where there is a newer one, nothing is written and
    ConflictError says so. Shipped templates keep their name: by it a new version of Featlas finds them.
    """
    with store.write() as session:
        _take_turns(session)
        row = fetch_row(session, ref)
        _require_version(session, row, expected_version)
        if name is not None and (new_name := checked_name(name)) != row.name:
            if row.is_shipped:
                raise ConflictError(
                    f"the template {row.name!r} came with Featlas and keeps its name; clone it under another"
                )
            _require_free(session, new_name)
            row.name = new_name
        if description is not None:
            row.description = checked_description(description)
        if wording is not None:
            _add_version(session, row, wording)
        session.flush()
        return fetch_newest(session, row.id)


def clone_template(store: Store, ref: int | str, new_name: str, version: int | None = None) -> PromptTemplate:
    """A new template that says the same, in the newest or a given version; it is nobody's default or favourite yet."""
    with store.write() as session:
        _take_turns(session)
        original = fetch_template(session, ref, version)
        return fetch_newest(session, _add(session, new_name, original.description, original.wording).id)


def import_templates(store: Store, templates: Sequence[HasWording], *, update: bool = False) -> list[PromptTemplate]:
    """Add all of them or, on any error, none; with `update` those whose names are there get a new version.

    Raises ConflictError that lists the names that are taken where they are not to be updated.
    """
    with store.write() as session:
        _take_turns(session)
        named = {checked_name(template.name): template for template in templates}
        if len(named) < len(templates):
            raise InputError("two of the templates have the same name; expected different ones")
        known = {row.name: row for row in session.scalars(select(PromptTemplateRow))}
        taken = [name for name in named if name in known]
        if taken and not update:
            names = ", ".join(map(repr, taken))
            raise ConflictError(
                f"templates of these names exist: {names}; nothing was imported; rename them, or import with update"
            )
        rows = []
        for name, template in named.items():
            row = known.get(name)
            if row is None:
                row = _add(session, name, template.description, template.wording)
            else:
                row.description = checked_description(template.description)
                _add_version(session, row, template.wording)
            rows.append(row)
        session.flush()
        return [fetch_newest(session, row.id) for row in rows]


def set_default(store: Store, ref: int | str) -> PromptTemplate:
    """Make a template the default instead of the one before: no reader ever sees two or none."""
    return _change(store, ref, _make_default)


def set_favorite(store: Store, ref: int | str, is_favorite: bool) -> PromptTemplate:
    """Mark a template as a favourite or not."""

    def mark(session: Session, row: PromptTemplateRow) -> None:
        _set(session, PromptTemplateRow.id == row.id, is_favorite=is_favorite)

    return _change(store, ref, mark)


def delete_template(store: Store, ref: int | str) -> PromptTemplate:
    """Remove a template with its versions; what it was.

    Raises ConflictError for the default, for a shipped template, and for one that labels say they were made with.
    """
    with store.write() as session:
        _take_turns(session)
        row = fetch_row(session, ref)
        template = fetch_newest(session, row.id)
        if row.is_default:
            raise ConflictError(f"the template {row.name!r} is the default; make another one the default first")
        if row.is_shipped:
            raise ConflictError(
                f"the template {row.name!r} came with Featlas and would come back; mark the ones you use as favourites"
                " and list only those"
            )
        # Held, so that no label can come to refer to one of them meanwhile.
        held = select(PromptTemplateVersionRow.id).where(PromptTemplateVersionRow.template_id == row.id)
        versions = session.scalars(held.with_for_update()).all()
        n_labels = session.scalar(select(func.count()).where(LabelRow.template_version_id.in_(versions)))
        if n_labels:
            raise ConflictError(
                f"{n_labels:,} labels were made with the template {row.name!r} and refer to its wording; it stays"
            )
        session.delete(row)
        return template


def count_use(session: Session, template_id: int) -> None:
    """Count one labeling job of a template, in one statement; raises NotFoundError where it is gone."""
    counted = _set(session, PromptTemplateRow.id == template_id, usage_count=PromptTemplateRow.usage_count + 1)
    if not counted:
        raise NotFoundError(f"there is no template {template_id}; it may have been deleted")


def sync_shipped(store: Store, shipped: Sequence[HasWording]) -> list[str]:
    """Add the shipped templates that are missing, and new wordings of those that nobody edited; the names changed.

    The first of them becomes the default where there is none. A template of a person's that has the name of a shipped
    one stays as it is. Safe to call at any time, by several processes and versions of Featlas.
    """
    with store.read() as session:
        known = _read_shipped_state(session)
        if known.has_default and all(not _is_outdated(known, template) for template in shipped):
            return []  # nearly always; it takes no lock
    with store.write() as session:
        _take_turns(session)
        known = _read_shipped_state(session)
        changed = [template for template in shipped if _is_outdated(known, template)]
        for template in changed:
            row = known.rows.get(template.name)
            if row is None:
                _add(session, template.name, template.description, template.wording, is_shipped=True)
            else:
                row.description = checked_description(template.description)
                _add_version(session, row, template.wording, is_shipped=True)
        session.flush()
        if not known.has_default and shipped:
            _make_default(session, fetch_row(session, shipped[0].name))
        return [template.name for template in changed]


@dataclass(frozen=True)
class _ShippedState:
    """Templates by name, and the versions of each, oldest first."""

    rows: dict[str, PromptTemplateRow]
    versions: dict[int, list[PromptTemplateVersionRow]]
    has_default: bool


def _read_shipped_state(session: Session) -> _ShippedState:
    rows = {row.name: row for row in session.scalars(select(PromptTemplateRow))}
    versions: dict[int, list[PromptTemplateVersionRow]] = {row.id: [] for row in rows.values()}
    for version in session.scalars(select(PromptTemplateVersionRow).order_by(PromptTemplateVersionRow.version)):
        versions[version.template_id].append(version)
    return _ShippedState(rows, versions, any(row.is_default for row in rows.values()))


def _is_outdated(known: _ShippedState, template: HasWording) -> bool:
    """Whether the store has an older wording of a shipped template than this, or none.

    A wording that it had before is older than the one it has: another version of Featlas has been here since.
    """
    row = known.rows.get(template.name)
    if row is None:
        return True
    versions = known.versions[row.id]
    if not row.is_shipped or not versions[-1].is_shipped:
        return False
    return all(wording_of(version) != template.wording for version in versions)


def _change(store: Store, ref: int | str, change: Callable[[Session, PromptTemplateRow], None]) -> PromptTemplate:
    with store.write() as session:
        _take_turns(session)
        row = fetch_row(session, ref)
        change(session, row)
        return fetch_newest(session, row.id)


def _take_turns(session: Session) -> None:
    """Keep other writers of templates out until the transaction ends; readers go on. SQLite's write lock does it."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE prompt_templates IN SHARE ROW EXCLUSIVE MODE"))


def _make_default(session: Session, row: PromptTemplateRow) -> None:
    _set(session, PromptTemplateRow.is_default, is_default=False)
    _set(session, PromptTemplateRow.id == row.id, is_default=True)


def _set(session: Session, condition: Any, **values: Any) -> int:
    """Change marks in one statement; `updated_at` stays, because nothing changed that a prompt is made of."""
    statement = update(PromptTemplateRow).where(condition).values(**values, updated_at=PromptTemplateRow.updated_at)
    done: Any = session.execute(statement, execution_options={"synchronize_session": False})
    session.expire_all()
    return done.rowcount


def _add(
    session: Session, name: str, description: str, wording: PromptWording, *, is_shipped: bool = False
) -> PromptTemplateRow:
    checked = checked_name(name)
    _require_free(session, checked)
    row = PromptTemplateRow(
        uid=new_uid(), name=checked, description=checked_description(description), is_shipped=is_shipped
    )
    session.add(row)
    session.flush()
    _add_version(session, row, wording, is_shipped=is_shipped)
    return row


def _add_version(session: Session, row: PromptTemplateRow, wording: PromptWording, *, is_shipped: bool = False) -> None:
    of_template = select(PromptTemplateVersionRow).where(PromptTemplateVersionRow.template_id == row.id)
    newest = session.scalars(of_template.order_by(PromptTemplateVersionRow.version.desc()).limit(1)).one_or_none()
    if newest is not None and wording_of(newest) == wording:
        return
    session.add(
        PromptTemplateVersionRow(
            template_id=row.id,
            version=1 if newest is None else newest.version + 1,
            content_hash=wording.content_hash,
            system_text=wording.system_text,
            user_text=wording.user_text,
            settings={"evidence": asdict(wording.evidence)},
            is_shipped=is_shipped,
        )
    )
    row.updated_at = utc_now()
    session.flush()


def _require_version(session: Session, row: PromptTemplateRow, expected: int | None) -> None:
    if expected is None:
        return
    newest = fetch_newest(session, row.id).version
    if newest != expected:
        raise ConflictError(
            f"the template {row.name!r} has changed (version {newest}, expected {expected}); look at it again"
        )


def _require_free(session: Session, name: str) -> None:
    if session.scalars(select(PromptTemplateRow.id).where(PromptTemplateRow.name == name)).first() is not None:
        raise ConflictError(f"a template named {name!r} exists already; choose another name")


def checked_name(name: str) -> str:
    """Trimmed; raises InputError for what cannot be told from a number or read in a list."""
    trimmed = name.strip()
    if not 1 <= len(trimmed) <= MAX_NAME:
        raise InputError(f"a template's name has {len(trimmed)} characters; expected 1 … {MAX_NAME}")
    if trimmed.isdecimal():
        raise InputError(f"a template cannot be named {trimmed!r}: digits alone mean its number; add a letter")
    _require_plain(f"the name {trimmed!r}", trimmed, allowed="")
    return trimmed


def checked_description(description: str) -> str:
    """Trimmed; raises InputError for an overlong one and for control characters other than line breaks and tabs."""
    trimmed = description.strip()
    if len(trimmed) > MAX_DESCRIPTION:
        raise InputError(f"the description has {len(trimmed):,} characters; expected at most {MAX_DESCRIPTION:,}")
    _require_plain("the description", trimmed, allowed="\n\t")
    return trimmed


def _require_plain(what: str, words: str, *, allowed: Iterable[str]) -> None:
    for character in words:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in allowed:
            raise InputError(f"{what} holds the control character U+{ord(character):04X}; take it out")
