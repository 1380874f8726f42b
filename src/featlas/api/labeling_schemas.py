"""What the API answers and takes about labeling by language models, as models."""

from typing import Annotated, Any, Literal

from pydantic import Field

from featlas.api.schemas import Answer, Job, Label, Request
from featlas.domain import FailureCause


class ProviderStatus(Answer):
    """Who can be asked for labels; of a key only whether there is one."""

    name: Literal["openai", "anthropic", "compatible"]
    base_url: str = Field(description="Where it is asked; empty where a setting is missing.")
    key_variable: str
    has_key: bool
    is_ready: bool
    default_model: str | None
    problem: str | None = Field(description="What is missing, in a sentence.")


class Providers(Answer):
    """Every provider."""

    items: list[ProviderStatus]


class ProviderToTry(Request):
    """Which model is tried; empty: the provider's default."""

    model: Annotated[str, Field(max_length=200)] = ""


class ProviderTrial(Answer):
    """What came of one tiny question."""

    name: str
    host: str
    model: str
    keeps_schema: bool = Field(description="Whether a label could be read from the answer.")
    n_tokens_in: int | None
    n_tokens_out: int | None
    seconds: float


class LabelingToPlan(Request):
    """A LabelSpec, the same as the CLI's and as a job's."""

    spec: dict[str, Any]


class LabelingPlan(Answer):
    """What a labeling would do, before anybody is asked."""

    run: int
    template: str
    template_version: int
    model: str
    n_features: int = Field(description="Features that are asked about; those that a rule settles are among them.")
    n_skipped: dict[str, int] = Field(description="The query's other features by why: human, flagged, labeled.")
    n_tokens_in: int
    n_tokens_out: int
    usd: float | None = Field(description="Null where no price is known.")
    usd_per_million_in: float | None
    usd_per_million_out: float | None
    seconds: float | None = Field(description="Null where nothing is known of the model's pace.")
    is_measured: bool = Field(description="Whether earlier answers of this model were there to measure by.")
    sample: list[int] = Field(description="Some of the features, spread over the selection: to look at their prompts.")


class Wording(Request):
    """A wording that is not saved yet."""

    system: str
    user: str
    evidence: dict[str, int] = Field(default_factory=dict, description="How much is shown; defaults where left out.")


class PromptToPreview(Request):
    """A LabelSpec, a feature, and perhaps a wording instead of the spec's template."""

    spec: dict[str, Any]
    feature_index: int
    wording: Wording | None = None


class PreviewedPrompt(Answer):
    """The exact question about one feature."""

    feature_index: int
    system: str
    user: str
    request: dict[str, Any] = Field(description="Everything that decides the answer, as JSON.")
    n_tokens_in: int = Field(description="An estimate.")
    usd: float | None
    shown: dict[str, Any] = Field(description="Numbers of the contexts that the prompt shows.")


class LabelingCounts(Answer):
    """What a labeling job has given so far; tokens and money are what it paid itself."""

    n_labeled: int
    n_abstained: int
    n_failed: int
    n_linted: int
    n_by_cause: dict[FailureCause, int]
    n_left_failed: int = Field(description="Features that failed and that have no label since.")
    n_tokens_in: int
    n_tokens_out: int
    usd: float | None


class Labeling(Answer):
    """A labeling job with its counts."""

    job: Job
    counts: LabelingCounts


class Labelings(Answer):
    """A page of an SAE's labeling jobs, newest first."""

    items: list[Job]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end.")


class JobLabels(Answer):
    """What a labeling job said, newest first."""

    items: list[Label]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end.")


class ComparedFeature(Answer):
    """What two jobs said of one feature."""

    feature_index: int
    a: Label | None
    b: Label | None


class LabelingComparison(Answer):
    """Two labeling jobs side by side; texts are compared case-folded."""

    n_both: int
    n_same: int
    n_only_a: int
    n_only_b: int
    items: list[ComparedFeature]
    next: str | None


class KeptAnswer(Answer):
    """The exact question and answer behind a label."""

    label: int
    provider: str
    model: str
    request: dict[str, Any]
    text: str = Field(description="The completion, word for word.")
    answered_by: str = Field(description="The model's name as its server gave it.")
    n_tokens_in: int | None
    n_tokens_out: int | None
    usd: float | None
    seconds: float | None
