"""What the API answers and takes about prompt templates, as models; the part of its contract beside `schemas`."""

import datetime as dt
from typing import Annotated, Literal

from pydantic import Field

from featlas.api.schemas import Answer, Request
from featlas.domain import EvidenceOptions


class PromptEvidence(Answer):
    """How much of a feature a prompt shows; `/templates/variables` says what each number means."""

    n_top: int
    n_spread: int
    n_near_misses: int
    n_non_firing: int
    n_tokens: int
    n_logits: int
    window: int


class PromptWording(Answer):
    """What a language model is asked: two texts with variables in braces, and how much they show."""

    system_text: str
    user_text: str
    evidence: PromptEvidence


class PromptTemplate(Answer):
    """A named prompt in one of its versions."""

    id: int
    uid: str
    name: str
    description: str
    is_shipped: bool = Field(description="Whether it came with Featlas; then it is neither renamed nor deleted.")
    is_default: bool = Field(description="Whether it is used where none is named; exactly one is.")
    is_favorite: bool
    usage_count: int = Field(description="Labeling jobs that used it.")
    version_id: int = Field(description="Of this version, as labels name it.")
    version: int
    n_versions: int = Field(description="The newest version's number.")
    content_hash: str = Field(description="Of the wording: the same hash asks the same.")
    wording: PromptWording
    created_at: dt.datetime
    updated_at: dt.datetime = Field(description="When a name, a description or a wording last changed.")


class PromptTemplates(Answer):
    """Templates: the default first, then favourites, then by name."""

    items: list[PromptTemplate]


class PromptVersion(Answer):
    """One entry of a template's history."""

    id: int
    version: int
    content_hash: str
    wording: PromptWording
    created_at: dt.datetime
    is_stale: bool = Field(description="Whether the newest version says something else.")
    n_labels: int = Field(description="Labels that were made with this version.")


class PromptVersions(Answer):
    """Every version of a template, newest first."""

    items: list[PromptVersion]


class PromptVariable(Answer):
    """A variable that a template may use, in braces."""

    name: str
    meaning: str
    is_evidence: bool = Field(description="Whether it shows something of the feature; at least one has to.")


class EvidenceNumber(Answer):
    """One number of a template's evidence."""

    name: str
    meaning: str
    default: int
    low: int
    high: int


class PromptVariables(Answer):
    """What a template may hold."""

    variables: list[PromptVariable]
    evidence: list[EvidenceNumber]
    max_characters: int = Field(description="Of each of the two texts.")


class WordingCheck(Answer):
    """What is wrong with a wording; it can be saved where nothing is."""

    problems: list[str]
    variables: list[str] = Field(description="The variables that it uses.")


class PromptTemplateText(Answer):
    """A template as a file holds it."""

    name: str
    description: str
    system: str
    user: str
    evidence: PromptEvidence


class PromptTemplateFile(Answer):
    """Templates as they are exported and imported."""

    featlas_prompt_templates: Literal[1]
    templates: list[PromptTemplateText]


class NewEvidence(Request):
    """How much of a feature a prompt shall show."""

    n_top: int = EvidenceOptions.n_top
    n_spread: int = EvidenceOptions.n_spread
    n_near_misses: int = EvidenceOptions.n_near_misses
    n_non_firing: int = EvidenceOptions.n_non_firing
    n_tokens: int = EvidenceOptions.n_tokens
    n_logits: int = EvidenceOptions.n_logits
    window: int = EvidenceOptions.window


class NewWording(Request):
    """What a language model shall be asked."""

    system_text: Annotated[str, Field(max_length=1_000_000)] = ""
    user_text: Annotated[str, Field(max_length=1_000_000)]
    evidence: NewEvidence = Field(default_factory=NewEvidence)


class NewTemplate(Request):
    """A template to be added."""

    name: str
    description: str = ""
    wording: NewWording


class TemplateChange(Request):
    """What shall change of a template; another wording is a new version. What is null stays."""

    name: str | None = None
    description: str | None = None
    wording: NewWording | None = None
    expected_version: int | None = Field(
        default=None, description="The newest version that was seen: a change made meanwhile is not overwritten."
    )


class TemplateClone(Request):
    """The name of a copy, and the version to copy; the newest by default."""

    name: str
    version: int | None = None


class TemplateMark(Request):
    """Whether a template shall be a favourite."""

    is_favorite: bool = True
