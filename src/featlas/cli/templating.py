"""What the commands for prompt templates do; those that come with Featlas are put into the store first."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from rich.table import Table
from rich.text import Text

from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.domain import PromptTemplate, PromptWording
from featlas.errors import ExternalError, InputError
from featlas.explain.templates import (
    VARIABLES,
    NamedWording,
    check_wording,
    find_problems,
    find_variables,
    from_json,
    to_json,
)
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.store import prompt_templates
from featlas.store.json_shapes import template_to_json, template_version_to_json
from featlas.store.prompt_templates import TemplateVersion
from featlas.store.session import Store

Texts = tuple[str | None, str | None]
"""The files of the system text and the user text."""


@contextmanager
def _opened() -> Iterator[Store]:
    with opened() as here:
        add_shipped_templates(here.store)
        yield here.store


def print_templates(*, favorites_only: bool, as_json: bool) -> int:
    """All templates, or the favourites."""
    with _opened() as store, store.read() as session:
        found = prompt_templates.list_templates(session, favorites_only=favorites_only)
    if as_json:
        for template in found:
            print(json.dumps(template_to_json(template)))
        return 0
    nothing = "no favourites yet; `featlas templates favorite NAME` marks one"
    result_console().print(_template_table(found) if found else nothing)
    return 0


def _template_table(found: Sequence[PromptTemplate]) -> Table:
    table = Table("template", "name", "version", "jobs", "marks", "description", box=None, pad_edge=False)
    for column in (0, 2, 3):
        table.columns[column].justify = "right"
    for template in found:
        marks = Text(", ".join(_marks(template)))
        row = (str(template.id), Text(template.name), str(template.version), f"{template.usage_count:,}", marks)
        table.add_row(*row, Text(" ".join(template.description.split())))
    return table


def _marks(template: PromptTemplate) -> list[str]:
    marks = {
        "default": template.is_default,
        "favourite": template.is_favorite,
        "came with Featlas": template.is_shipped,
    }
    return [mark for mark, is_set in marks.items() if is_set]


def print_template(ref: str, version: int | None, *, as_json: bool) -> int:
    """One template with its texts and versions."""
    with _opened() as store, store.read() as session:
        template = prompt_templates.fetch_template(session, ref, version)
        versions = prompt_templates.list_versions(session, template.id)
    if as_json:
        shown = {**template_to_json(template), "versions": [template_version_to_json(found) for found in versions]}
        print(json.dumps(shown))
        return 0
    _print_page(template, versions)
    return 0


def _print_page(template: PromptTemplate, versions: Sequence[TemplateVersion]) -> None:
    console = result_console()
    marks = ", ".join(_marks(template))
    console.print(f"template {template.id} {template.name}" + (f" ({marks})" if marks else ""), style="bold")
    wording = template.wording
    lines = (
        template.description,
        f"version {template.version} of {template.n_versions}, used by {template.usage_count:,} labeling jobs",
        "variables: " + " ".join(f"{{{name}}}" for name in find_variables(wording)),
        "evidence: " + ", ".join(f"{name} {value}" for name, value in asdict(wording.evidence).items()),
    )
    for line in lines:
        if line:
            console.print(Text(f"  {line}"), soft_wrap=True)
    for title, text in (("system", wording.system_text), ("user", wording.user_text)):
        console.print(title, style="bold")
        console.print(Text(text.rstrip("\n") or "(empty)"), soft_wrap=True)
    table = Table("version", "created", "labels", "", box=None, pad_edge=False)
    for found in versions:
        same = "in force" if found.version == template.n_versions else "the same words as in force"
        state = "stale" if found.is_stale else same
        table.add_row(str(found.version), f"{found.created_at:%Y-%m-%d %H:%M}", f"{found.n_labels:,}", state)
    console.print("versions", style="bold")
    console.print(table)


def print_variables(*, as_json: bool) -> int:
    """What a template may use in braces."""
    if as_json:
        for name, meaning in VARIABLES.items():
            print(json.dumps({"name": name, "meaning": meaning}, ensure_ascii=False))
        return 0
    table = Table("variable", "stands for", box=None, pad_edge=False)
    for name, meaning in VARIABLES.items():
        table.add_row(f"{{{name}}}", meaning)
    result_console().print(table)
    return 0


def add(name: str, description: str, texts: Texts, numbers: Mapping[str, int], *, as_json: bool) -> int:
    """Add a template."""
    wording = _changed(PromptWording("", ""), texts, numbers)
    check_wording(wording)
    return _tell(lambda store: prompt_templates.add_template(store, name, description, wording), as_json=as_json)


def edit(
    ref: str,
    names: Mapping[str, str | None],
    texts: Texts,
    numbers: Mapping[str, int],
    *,
    version: int | None,
    as_json: bool,
) -> int:
    """Change what was given of a template."""
    if not any((numbers, *texts)) and version is None and all(value is None for value in names.values()):
        raise InputError("nothing to change; see `featlas templates edit --help`")

    def change_it(store: Store) -> PromptTemplate:
        with store.read() as session:
            newest = prompt_templates.fetch_template(session, ref)
            began_with = prompt_templates.fetch_template(session, ref, version)
        wording = _changed(began_with.wording, texts, numbers)
        if wording != newest.wording:
            check_wording(wording)
        expected = newest.version  # what another person changes meanwhile is not overwritten
        return prompt_templates.edit_template(store, newest.id, **names, wording=wording, expected_version=expected)

    return _tell(change_it, as_json=as_json)


def clone(ref: str, name: str, version: int | None, *, as_json: bool) -> int:
    """Make a new template of an old one."""
    return _tell(lambda store: prompt_templates.clone_template(store, ref, name, version), as_json=as_json)


def make_default(ref: str, *, as_json: bool) -> int:
    """Make a template the default."""
    return _tell(lambda store: prompt_templates.set_default(store, ref), as_json=as_json)


def mark_favorite(ref: str, is_favorite: bool, *, as_json: bool) -> int:
    """Mark a template as a favourite, or not."""
    return _tell(lambda store: prompt_templates.set_favorite(store, ref, is_favorite), as_json=as_json)


def delete(ref: str, *, as_json: bool) -> int:
    """Delete a template."""
    with _opened() as store:
        template = prompt_templates.delete_template(store, ref)
    print(json.dumps(template_to_json(template)) if as_json else f"template {template.id} {template.name} is deleted")
    return 0


def export(refs: Sequence[str], to: str) -> int:
    """Write templates to a file or to standard output."""
    with _opened() as store, store.read() as session:
        if refs:
            found = [prompt_templates.fetch_template(session, ref) for ref in refs]
        else:
            found = prompt_templates.list_templates(session)
    unique = {template.id: template for template in found}
    text = json.dumps(to_json(unique.values()), ensure_ascii=False, indent=1) + "\n"
    if to == "-":
        print(text, end="")
        return 0
    try:
        Path(to).write_text(text, encoding="utf-8")
    except OSError as error:
        raise ExternalError(f"cannot write {to}: {error.strerror}") from error
    sys.stderr.write(f"{len(unique):,} template{'' if len(unique) == 1 else 's'} written to {to}\n")
    return 0


def import_file(path: str, *, update: bool, as_json: bool) -> int:
    """Add the templates of a file."""
    templates = _load_file(path)
    with _opened() as store:
        imported = prompt_templates.import_templates(store, templates, update=update)
    for template in imported:
        print(json.dumps(template_to_json(template)) if as_json else _line(template))
    return 0


def validate(path: str | None, texts: Texts, numbers: Mapping[str, int], *, as_json: bool) -> int:
    """Say what is wrong with a file of templates or with two texts."""
    if (path is None) == (texts == (None, None)):
        raise InputError("expected either a file of templates, or --user-file and --system-file")
    problems: Sequence[str]
    if path is not None:
        problems = _problems_of_file(path)
    else:
        problems = find_problems(_changed(PromptWording("", ""), texts, numbers))
    if as_json:
        print(json.dumps({"problems": list(problems)}))
    elif problems:
        raise InputError("; ".join(problems))
    else:
        print("nothing is wrong")
    return InputError.exit_code if problems else 0


def _problems_of_file(path: str) -> list[str]:
    try:
        for template in _load_file(path):
            prompt_templates.checked_name(template.name)
            prompt_templates.checked_description(template.description)
    except InputError as error:
        return [str(error)]
    return []


def _load_file(path: str) -> tuple[NamedWording, ...]:
    text = _read_text(path)
    where = "standard input" if path == "-" else path
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}; expected a file of `featlas templates export`") from error
    try:
        return from_json(content)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _changed(wording: PromptWording, texts: Texts, numbers: Mapping[str, int]) -> PromptWording:
    """The wording with the texts and numbers that were given."""
    system_file, user_file = texts
    if system_file == user_file == "-":
        raise InputError("--system-file and --user-file cannot both be standard input")
    return PromptWording(
        wording.system_text if system_file is None else _read_text(system_file),
        wording.user_text if user_file is None else _read_text(user_file),
        replace(wording.evidence, **numbers),
    )


def _read_text(path: str) -> str:
    """A file's text, with line breaks as they are on this platform; `-` is standard input."""
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text in UTF-8 (byte {error.start})") from error


def _tell(act: Callable[[Store], PromptTemplate], *, as_json: bool) -> int:
    with _opened() as store:
        template = act(store)
    print(json.dumps(template_to_json(template)) if as_json else _line(template))
    return 0


def _line(template: PromptTemplate) -> str:
    marks = [mark for mark in _marks(template) if mark != "came with Featlas"]
    return f"template {template.id} {template.name}: " + ", ".join([f"version {template.version}", *marks])
