"""Prompt templates: what a language model is asked about a feature, with its history, checks and files."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response

from featlas.api import template_schemas as schemas
from featlas.api.surroundings import Here
from featlas.domain import EvidenceOptions, PromptTemplate, PromptWording
from featlas.explain.templates import (
    EVIDENCE,
    EVIDENCE_NUMBERS,
    EVIDENCE_RANGES,
    MAX_CHARACTERS,
    VARIABLES,
    check_wording,
    find_problems,
    find_variables,
    from_json,
    to_json,
)
from featlas.store import prompt_templates
from featlas.store.prompt_templates import TemplateVersion

router = APIRouter(prefix="/templates", tags=["templates"])

Version = Annotated[int | None, Query(description="An older version; the newest without it.")]


# What has a fixed name stands before /{template}: a template of such a name is reached by its number or uid.


@router.get("")
def list_templates(here: Here, favorites_only: bool = False) -> schemas.PromptTemplates:
    """All templates in their newest version: the default first, then favourites, then by name."""
    with here.store.read() as session:
        found = prompt_templates.list_templates(session, favorites_only=favorites_only)
    return schemas.PromptTemplates(items=[_template_of(template) for template in found])


@router.post("", status_code=201)
def add(new: schemas.NewTemplate, here: Here) -> schemas.PromptTemplate:
    """Add a template; a wording in which anything is wrong is refused."""
    wording = _checked(new.wording)
    return _template_of(prompt_templates.add_template(here.store, new.name, new.description, wording))


@router.get("/variables")
def variables() -> schemas.PromptVariables:
    """What a template may hold in braces, and how much evidence it may ask for."""
    return schemas.PromptVariables(
        variables=[
            schemas.PromptVariable(name=name, meaning=meaning, is_evidence=name in EVIDENCE)
            for name, meaning in VARIABLES.items()
        ],
        evidence=[
            schemas.EvidenceNumber(
                name=name, meaning=meaning, default=getattr(EvidenceOptions, name), low=low, high=high
            )
            for name, meaning in EVIDENCE_NUMBERS.items()
            for low, high in [EVIDENCE_RANGES[name]]
        ],
        max_characters=MAX_CHARACTERS,
    )


@router.post("/validate")
def validate(wording: schemas.NewWording) -> schemas.WordingCheck:
    """Everything that is wrong with a wording; nothing is saved."""
    found = _wording_of(wording)
    return schemas.WordingCheck(problems=list(find_problems(found)), variables=list(find_variables(found)))


@router.get("/export")
def export(
    response: Response,
    here: Here,
    template: Annotated[
        list[str] | None, Query(description="Number, name or start of the uid; all without it.")
    ] = None,
) -> schemas.PromptTemplateFile:
    """Templates as a file that `/templates/import` takes."""
    with here.store.read() as session:
        if template:
            found = [prompt_templates.fetch_template(session, ref) for ref in template]
        else:
            found = prompt_templates.list_templates(session)
    unique = {one.id: one for one in found}
    response.headers["content-disposition"] = 'attachment; filename="featlas-templates.json"'
    return schemas.PromptTemplateFile.model_validate(to_json(unique.values()))


@router.post("/import", status_code=201)
def import_file(
    content: Annotated[Any, Body(description="An exported file.")],
    here: Here,
    update: Annotated[bool, Query(description="Give templates of the same names a new version.")] = False,
) -> schemas.PromptTemplates:
    """Add all templates of an exported file, or none where anything is wrong with one of them."""
    imported = prompt_templates.import_templates(here.store, from_json(content), update=update)
    return schemas.PromptTemplates(items=[_template_of(template) for template in imported])


@router.get("/of-version/{version_id}")
def show_version(version_id: int, here: Here) -> schemas.PromptTemplate:
    """The template in the version that a label's `template_version_id` names."""
    with here.store.read() as session:
        return _template_of(prompt_templates.fetch_version(session, version_id))


@router.get("/{template}")
def show(template: str, here: Here, version: Version = None) -> schemas.PromptTemplate:
    """One template, by number, name or start of its uid."""
    with here.store.read() as session:
        return _template_of(prompt_templates.fetch_template(session, template, version))


@router.patch("/{template}")
def edit(template: str, change: schemas.TemplateChange, here: Here) -> schemas.PromptTemplate:
    """Change a template's name, description or wording; another wording is a new version."""
    edited = prompt_templates.edit_template(
        here.store,
        template,
        name=change.name,
        description=change.description,
        wording=None if change.wording is None else _checked(change.wording),
        expected_version=change.expected_version,
    )
    return _template_of(edited)


@router.delete("/{template}", status_code=204)
def delete(template: str, here: Here) -> None:
    """Delete a template; the default, shipped ones and those that labels were made with are refused."""
    prompt_templates.delete_template(here.store, template)


@router.get("/{template}/versions")
def versions(template: str, here: Here) -> schemas.PromptVersions:
    """Every version of a template, newest first, with the number of labels that were made with it."""
    with here.store.read() as session:
        found = prompt_templates.list_versions(session, template)
    return schemas.PromptVersions(items=[_version_of(version) for version in found])


@router.post("/{template}/clone", status_code=201)
def clone(template: str, asked: schemas.TemplateClone, here: Here) -> schemas.PromptTemplate:
    """A new template that says the same."""
    return _template_of(prompt_templates.clone_template(here.store, template, asked.name, asked.version))


@router.post("/{template}/default")
def make_default(template: str, here: Here) -> schemas.PromptTemplate:
    """Make a template the default instead of the one before."""
    return _template_of(prompt_templates.set_default(here.store, template))


@router.post("/{template}/favorite")
def mark_favorite(template: str, mark: schemas.TemplateMark, here: Here) -> schemas.PromptTemplate:
    """Mark a template as a favourite, or not."""
    return _template_of(prompt_templates.set_favorite(here.store, template, mark.is_favorite))


def _checked(new: schemas.NewWording) -> PromptWording:
    wording = _wording_of(new)
    check_wording(wording)
    return wording


def _wording_of(new: schemas.NewWording) -> PromptWording:
    return PromptWording(new.system_text, new.user_text, EvidenceOptions(**new.evidence.model_dump()))


def _wording(wording: PromptWording) -> schemas.PromptWording:
    return schemas.PromptWording(
        system_text=wording.system_text,
        user_text=wording.user_text,
        evidence=schemas.PromptEvidence(**asdict(wording.evidence)),
    )


def _template_of(template: PromptTemplate) -> schemas.PromptTemplate:
    names = schemas.PromptTemplate.model_fields.keys() - {"wording", "content_hash"}
    return schemas.PromptTemplate(
        **{name: getattr(template, name) for name in names},
        content_hash=template.wording.content_hash,
        wording=_wording(template.wording),
    )


def _version_of(version: TemplateVersion) -> schemas.PromptVersion:
    names = schemas.PromptVersion.model_fields.keys() - {"wording"}
    return schemas.PromptVersion(**{name: getattr(version, name) for name in names}, wording=_wording(version.wording))
