"""Templates as files: those that come with Featlas, and the JSON in which they are exported and imported."""

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib import resources
from typing import Any, Protocol

from featlas.domain import EvidenceOptions, PromptWording
from featlas.errors import InputError
from featlas.explain.templates.wording import find_problems

FORMAT_KEY, FORMAT = "featlas_prompt_templates", 1
SHIPPED = ("general", "contrastive", "rare", "original")
"""Names of the shipped files, in the order in which they are offered."""

MAX_TEMPLATES = 1000
_TEXTS = ("name", "description", "system", "user")
_KEYS = (*_TEXTS, "evidence")
_NUMBERS = tuple(field.name for field in fields(EvidenceOptions))


@dataclass(frozen=True)
class NamedWording:
    """A template as it is shipped, exported and imported: without what a store knows of it."""

    name: str
    description: str
    wording: PromptWording


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    @property
    def wording(self) -> PromptWording: ...


def load_shipped() -> tuple[NamedWording, ...]:
    """The templates that come with Featlas; the first is the default of a new store."""
    folder = resources.files("featlas.explain.templates")
    texts = ((folder / f"{name}.toml").read_text(encoding="utf-8") for name in SHIPPED)
    return tuple(_read_template(tomllib.loads(text), name) for name, text in zip(SHIPPED, texts, strict=True))


def to_json(templates: Iterable[_Named]) -> dict[str, Any]:
    """Templates in the format that `from_json` reads."""
    return {FORMAT_KEY: FORMAT, "templates": [_template_to_json(template) for template in templates]}


def from_json(content: Any) -> tuple[NamedWording, ...]:
    """The templates of an exported file, with wordings that can be saved.

    Raises InputError with everything that is wrong; then nothing of the file should be taken.
    """
    listed = _listed_templates(content)
    templates: list[NamedWording] = []
    problems: list[str] = []
    for number, item in enumerate(listed, 1):
        try:
            templates.append(_read_template(item, f"template {number}"))
        except InputError as error:
            problems.append(str(error))
    problems += _named_twice(templates)
    if problems:
        raise InputError("; ".join(problems))
    return tuple(templates)


def _listed_templates(content: Any) -> list[Any]:
    if not isinstance(content, Mapping) or FORMAT_KEY not in content:
        raise InputError(
            f'this is no file of prompt templates; expected {{"{FORMAT_KEY}": {FORMAT}, "templates": […]}},'
            " as `featlas templates export` writes it"
        )
    version = content[FORMAT_KEY]
    if version != FORMAT or isinstance(version, bool):
        raise InputError(f"templates in format {version!r}; this version of Featlas reads format {FORMAT} only")
    stray = sorted(set(content) - {FORMAT_KEY, "templates"})
    if stray:
        raise InputError(f"unknown keys beside the templates: {', '.join(map(str, stray))}")
    listed = content.get("templates")
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_TEMPLATES:
        raise InputError(f'"templates": expected a list of 1 … {MAX_TEMPLATES} templates')
    return listed


def _read_template(item: Any, where: str) -> NamedWording:
    """A template of plain values; raises InputError that begins with its name, or with where it stands."""
    if not isinstance(item, Mapping):
        raise InputError(f"{where}: expected an object with {', '.join(_KEYS)}")
    name = item.get("name")
    place = f"template {name!r}" if isinstance(name, str) and name.strip() else where
    wrong = list(_wrong_keys(item))
    if not wrong:
        found = NamedWording(str(name), item.get("description", ""), _read_wording(item))
        wrong = list(find_problems(found.wording))
        if not wrong:
            return found
    raise InputError("; ".join(f"{place}: {problem}" for problem in wrong))


def _read_wording(item: Mapping[str, Any]) -> PromptWording:
    return PromptWording(item.get("system", ""), item["user"], EvidenceOptions(**item.get("evidence", {})))


def _wrong_keys(item: Mapping[str, Any]) -> Iterator[str]:
    for key in item:
        if key not in _KEYS:
            yield f"unknown key {key!r}; expected {', '.join(_KEYS)}"
    for key in ("name", "user"):
        if key not in item:
            yield f"{key!r} is missing"
    for key in _TEXTS:
        if key in item and not isinstance(item[key], str):
            yield f"{key!r}: expected a text"
    yield from _wrong_numbers(item.get("evidence", {}))


def _wrong_numbers(evidence: Any) -> Iterator[str]:
    if not isinstance(evidence, Mapping):
        yield f"'evidence': expected an object with {', '.join(_NUMBERS)}"
        return
    for key, value in evidence.items():
        if key not in _NUMBERS:
            yield f"'evidence': unknown key {key!r}; expected {', '.join(_NUMBERS)}"
        elif isinstance(value, bool) or not isinstance(value, int):
            yield f"'evidence': {key} {value!r}: expected a whole number"


def _named_twice(templates: Iterable[NamedWording]) -> Iterator[str]:
    seen: set[str] = set()
    for template in templates:
        name = template.name.strip()
        if name in seen:
            yield f"two templates are named {name!r}; expected different names"
        seen.add(name)


def _template_to_json(template: _Named) -> dict[str, Any]:
    wording = template.wording
    return {
        "name": template.name,
        "description": template.description,
        "system": wording.system_text,
        "user": wording.user_text,
        "evidence": asdict(wording.evidence),
    }
