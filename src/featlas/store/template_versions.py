"""Reading prompt templates: in their newest version, which is the one in force, or in any that they ever had."""

import datetime as dt
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from featlas.domain import EvidenceOptions, PromptTemplate, PromptWording
from featlas.errors import InputError, NotFoundError
from featlas.store.tables import LabelRow, PromptTemplateRow, PromptTemplateVersionRow

_NAMES_SHOWN = 8
_UID_PREFIX = re.compile(r"[0-9a-f-]{1,36}")
_EVIDENCE = tuple(field.name for field in fields(EvidenceOptions))
_OF_TEMPLATE = (
    "id",
    "uid",
    "name",
    "description",
    "is_shipped",
    "is_default",
    "is_favorite",
    "usage_count",
    "created_at",
    "updated_at",
)


@dataclass(frozen=True)
class TemplateVersion:
    """One entry of a template's history; `is_stale` where the newest version says something else.

    `n_labels` counts the labels that were made with this version.
    """

    id: int
    version: int
    content_hash: str
    wording: PromptWording
    created_at: dt.datetime
    is_stale: bool
    n_labels: int


def list_templates(session: Session, *, favorites_only: bool = False) -> list[PromptTemplate]:
    """All templates in their newest version: the default first, then favourites, then by name."""
    statement = _versions(newest_only=True)
    if favorites_only:
        statement = statement.where(PromptTemplateRow.is_favorite)
    found = [_template_of(row) for row in session.execute(statement)]
    return sorted(found, key=lambda t: (not t.is_default, not t.is_favorite, t.name.casefold(), t.id))


def fetch_template(session: Session, ref: int | str, version: int | None = None) -> PromptTemplate:
    """The template with this id, name or start of a uid, looked for in this order, in its newest or a given version.

    Raises InputError where several uids start so, NotFoundError where nothing fits.
    """
    template_id = fetch_row(session, ref).id
    if version is None:
        return fetch_newest(session, template_id)
    found = None
    if abs(version) < 2**31:
        of_version = (PromptTemplateRow.id == template_id, PromptTemplateVersionRow.version == version)
        found = session.execute(_versions().where(*of_version)).one_or_none()
    if found is None:
        template = fetch_newest(session, template_id)
        raise NotFoundError(
            f"the template {template.name!r} has no version {version}; it has 1 … {template.n_versions}"
        )
    return _template_of(found)


def fetch_default(session: Session) -> PromptTemplate:
    """The default template; raises NotFoundError in a store that has none yet."""
    found = session.execute(_versions(newest_only=True).where(PromptTemplateRow.is_default)).one_or_none()
    if found is None:
        raise NotFoundError("there is no default template; `featlas templates default NAME` makes one the default")
    return _template_of(found)


def fetch_version(session: Session, version_id: int) -> PromptTemplate:
    """The template in the version with this id, as labels name it; raises NotFoundError."""
    found = None
    if abs(version_id) < 2**63:
        found = session.execute(_versions().where(PromptTemplateVersionRow.id == version_id)).one_or_none()
    if found is None:
        raise NotFoundError(f"there is no version {version_id} of a template; it may have been deleted")
    return _template_of(found)


def list_versions(session: Session, ref: int | str) -> list[TemplateVersion]:
    """Every version of a template, newest first."""
    template_id = fetch_row(session, ref).id
    row = PromptTemplateVersionRow
    n_labels = select(func.count()).where(LabelRow.template_version_id == row.id).correlate(row).scalar_subquery()
    statement = select(row, n_labels).where(row.template_id == template_id).order_by(row.version.desc())
    found = session.execute(statement).all()
    in_force = found[0][0].content_hash
    return [
        TemplateVersion(
            id=version.id,
            version=version.version,
            content_hash=version.content_hash,
            wording=wording_of(version),
            created_at=version.created_at,
            is_stale=version.content_hash != in_force,
            n_labels=n,
        )
        for version, n in found
    ]


def stale_versions(session: Session) -> set[int]:
    """Ids of the versions that say something else than their template's newest: labels of these are stale.

    A template that went back to an older wording makes that wording's labels fresh again.
    """
    row = PromptTemplateVersionRow
    found = session.execute(select(row.id, row.template_id, row.content_hash).order_by(row.version)).all()
    in_force = {template_id: content_hash for _, template_id, content_hash in found}
    return {id_ for id_, template_id, content_hash in found if content_hash != in_force[template_id]}


def fetch_row(session: Session, ref: int | str) -> PromptTemplateRow:
    """The row that is meant; refs and errors are those of `fetch_template`."""
    asked = str(ref)
    if asked.isdecimal() and len(asked) < 20 and int(asked) < 2**63:
        found = session.get(PromptTemplateRow, int(asked))
        if found is not None:
            return found
    # What no database holds as text is nobody's name.
    is_text = "\0" not in asked and not any(unicodedata.category(character) == "Cs" for character in asked)
    by_name = select(PromptTemplateRow).where(PromptTemplateRow.name == asked)
    found = session.scalars(by_name).one_or_none() if is_text else None
    return found or _fetch_by_uid(session, asked)


def _fetch_by_uid(session: Session, asked: str) -> PromptTemplateRow:
    found: Sequence[PromptTemplateRow] = ()
    if _UID_PREFIX.fullmatch(asked.lower()):
        statement = select(PromptTemplateRow).where(PromptTemplateRow.uid.startswith(asked.lower()))
        found = session.scalars(statement.order_by(PromptTemplateRow.id).limit(_NAMES_SHOWN)).all()
    if len(found) == 1:
        return found[0]
    if found:
        uids = ", ".join(row.uid for row in found)
        raise InputError(f"several templates have a uid that starts with {asked!r}: {uids}; give more of it")
    names = session.scalars(select(PromptTemplateRow.name).order_by(PromptTemplateRow.name).limit(_NAMES_SHOWN)).all()
    known = f"there are {', '.join(names)}" if names else "there are none yet; `featlas templates add` makes one"
    raise NotFoundError(f"no template has the number, name or uid {asked!r}; {known}")


def fetch_newest(session: Session, template_id: int) -> PromptTemplate:
    """A template that is there, in its newest version."""
    return _template_of(session.execute(_versions(newest_only=True).where(PromptTemplateRow.id == template_id)).one())


def _versions(*, newest_only: bool = False) -> Select[PromptTemplateRow, PromptTemplateVersionRow, int]:
    """Templates in all their versions or in the newest, with the newest version's number."""
    row = PromptTemplateVersionRow
    newest = select(row.template_id, func.max(row.version).label("version")).group_by(row.template_id).subquery()
    statement = (
        select(PromptTemplateRow, row, newest.c.version)
        .join(row, row.template_id == PromptTemplateRow.id)
        .join(newest, newest.c.template_id == PromptTemplateRow.id)
    )
    return statement.where(row.version == newest.c.version) if newest_only else statement


def _template_of(found: Any) -> PromptTemplate:
    row, version, newest = found
    return PromptTemplate(
        **{name: getattr(row, name) for name in _OF_TEMPLATE},
        version_id=version.id,
        version=version.version,
        n_versions=newest,
        wording=wording_of(version),
    )


def wording_of(version: PromptTemplateVersionRow) -> PromptWording:
    """What a version asks."""
    numbers = version.settings.get("evidence", {})
    evidence = EvidenceOptions(**{name: numbers[name] for name in _EVIDENCE if name in numbers})
    return PromptWording(version.system_text, version.user_text, evidence)
