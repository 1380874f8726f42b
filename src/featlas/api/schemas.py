"""What the API answers and takes, as models: OpenAPI and the UI's types come from these, so names are a contract."""

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from featlas.api.bodies import Request
from featlas.domain import (
    FailureCause,
    JobState,
    LabelSource,
    LabelStatus,
    QueueOrder,
    ReviewAction,
    ReviewState,
    RunState,
    SaeOrigin,
)


class Answer(BaseModel):
    """A response; fields that are missing in a store are null, never invented."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


# The server


class Health(Answer):
    """That the server answers, and which version of Featlas it is."""

    version: str
    database: Literal["sqlite", "postgresql"]
    has_runner: bool = Field(description="Whether this server works on queued jobs itself.")
    access: Literal["open", "read", "write"] = Field(
        description="What whoever asks may do; open: the server asks nobody for a token."
    )


class Problem(Answer):
    """An error as RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="What happened, what was expected, what to do.")
    instance: str | None = None
    error_class: str | None = Field(default=None, description="The class of Featlas' error tree.")
    position: tuple[int, int] | None = Field(
        default=None, description="For a query that cannot be read: start and end of the fault, in UTF-16 units."
    )
    expected: str | None = Field(default=None, description="For a query that cannot be read: what would fit there.")


# The library


class Model(Answer):
    """A language model."""

    id: int
    uid: str
    name: str
    revision: str
    source: str
    d_model: int
    n_layers: int
    created_at: dt.datetime


class Sae(Answer):
    """A sparse autoencoder."""

    id: int
    uid: str
    name: str
    origin: SaeOrigin
    format: str
    architecture: str
    d_in: int
    d_sae: int
    hook_point: str
    source: str
    created_at: dt.datetime
    newest_run: int | None = Field(description="The newest finished run, which is meant where none is named.")


class LabelCounts(Answer):
    """How far an SAE's features are labeled, of all `n_features`."""

    n_features: int
    n_labeled: int
    n_human: int
    n_reviewed: int = Field(description="Features whose label somebody accepted or rejected.")


class RunBrief(Answer):
    """A run as lists, headers and links name it."""

    id: int
    uid: str
    name: str
    state: RunState
    is_partial: bool | None
    sae: str = Field(description="The SAE's uid, as in addresses.")
    sae_name: str
    model: str
    hook_point: str
    corpus: str
    n_features: int
    n_tokens: int | None


class Run(RunBrief):
    """A run with its health: what it read, how well the SAE did on it, and how far its features are labeled."""

    snapshot: int | None
    is_forced: bool
    n_documents: int | None
    n_contexts: int | None
    n_positions: int | None
    n_excluded: dict[str, int] | None
    n_alive: int | None
    n_dead: int | None
    n_dense: int | None
    n_sink_only: int | None
    quality: dict[str, float | int | None] | None = Field(description="L0, FVU and the like.")
    self_check: dict[str, Any] | None
    density_histogram: list[int] | None = Field(
        description="Features by log10 of their activation frequency, in half decades from 1e-7 to 1; dead ones apart."
    )
    labels: LabelCounts
    job: int | None
    job_state: JobState | None
    job_progress: dict[str, Any] | None
    spec: dict[str, Any]
    recipe: dict[str, Any]
    created_at: dt.datetime
    finished_at: dt.datetime | None


class Runs(Answer):
    """A page of runs, newest first."""

    items: list[Run]
    next: str | None = Field(description="Give it as `after` for the next page; null on the last one.")


# Text with activations


class TokenMark(Answer):
    """One token of a marked segment."""

    position: int
    token_id: int
    token: str = Field(description="The token's bytes as text; bytes inside of a character are written \\xf0.")
    value: float | None = Field(description="The feature's activation there; null where it does not fire.")


class Mark(Answer):
    """A segment of text that is shown marked: it holds an active token, or the position shown first.

    Tokens that share a character on screen (an emoji, a combining mark) are one segment.
    """

    segment: int = Field(description="Index into `ends`.")
    value: float | None = Field(description="The activation of largest magnitude in the segment.")
    tokens: list[TokenMark]


class TokenText(Answer):
    """Text in segments, with marks for the active ones only: what is not marked is plain text.

    Segment i is `text.slice(i ? ends[i - 1] : 0, ends[i])` in JavaScript (UTF-16 units); it never cuts a character as
    people see it (a grapheme).
    """

    text: str
    ends: list[int]
    marks: list[Mark]
    peak_segment: int = Field(description="Where the activation is strongest; without any, the segment shown first.")


class Example(Answer):
    """A context that shows something of a feature."""

    band: str
    place: int = Field(description="Its place in the band's list, from 0.")
    document: int
    context: int
    token_offset: int = Field(description="Offset of the context in its document, in tokens.")
    split: Literal["label", "score"]
    max_activation: float | None
    n_similar: int = Field(
        description="Windows of the corpus with the same eight tokens on both sides, itself included."
    )
    content: TokenText


class BandExamples(Answer):
    """The examples of one band, in order, from a place on.

    Bands: `top`, `octave:N` (peaks in [2^N, 2^(N+1))), `uniform` (a random sample of firing contexts), `near_miss` (the
    feature's token without the feature), `non_firing` (random contexts where it is silent).
    """

    band: str
    low: float | None = Field(description="Smallest peak that belongs to the band; null where it has no bounds.")
    high: float | None
    n_in_band: int = Field(description="Contexts of the corpus that are in the band.")
    n_published: int
    items: list[Example]


# Features


class Interval(Answer):
    """A 95 % interval."""

    low: float
    high: float


class Histogram(Answer):
    """Events by value: `counts[i]` lie in [edges[i], edges[i + 1]); empty where nothing fired."""

    edges: list[float]
    counts: list[int]


class TopToken(Answer):
    """A token on which the feature fires."""

    token_id: int
    token: str
    n_fires: int
    n_occurrences: int = Field(description="Of the token at counted positions of the corpus.")
    mean_activation: float
    max_activation: float
    p_fire_given_token: float | None = Field(description="n_fires / n_occurrences: recall of the token by the feature.")
    p_token_given_fire: float = Field(description="n_fires / the feature's n_fires: the token's share of the firings.")


class PositionBucket(Answer):
    """Firings at positions first … last of a context."""

    first: int
    last: int
    n_fires: int
    n_tokens: int | None = Field(description="Counted positions there; null in runs that did not keep it.")


class LabelBrief(Answer):
    """The label in force, as lists show it."""

    semantic_label: str
    category_label: str | None
    source: LabelSource
    review_state: ReviewState


class TokenChip(Answer):
    """One of a feature's commonest tokens."""

    token: str
    p_token_given_fire: float


class FeatureRow(Answer):
    """A feature as the list shows it."""

    feature_index: int
    label: LabelBrief | None
    flags: list[str] = Field(description="dead, dense, sink_only, duplicate, null")
    n_fires: int
    activation_frequency: float | None
    mean_activation: float | None
    std_activation: float | None
    max_activation: float | None
    score: float | None
    is_favorite: bool
    histogram: Histogram
    top_tokens: list[TokenChip]
    snippet: TokenText | None = Field(description="The peak of the strongest example, with some tokens around it.")


class QueryPart(Answer):
    """One condition of a query, as a chip: taking `text` out of the query leaves `without`."""

    text: str
    start: int = Field(description="Where it stands in the query, in UTF-16 units.")
    end: int
    without: str


class ReadQuery(Answer):
    """A query as it was understood."""

    text: str
    parts: list[QueryPart]
    sort: list[str] = Field(description="Sort keys in force, descending ones with a dash.")


class FeatureRows(Answer):
    """Some features, in the order asked for."""

    items: list[FeatureRow]


class FeaturePage(Answer):
    """A page of the features that a query matches, in order."""

    run: RunBrief
    snapshot: int
    query: ReadQuery
    n_matches: int
    n_features: int
    items: list[FeatureRow]
    next: str | None


class RowsRequest(Request):
    """Which features to show as rows."""

    feature_indices: Annotated[list[int], Field(max_length=200)]


class CategoryCount(Answer):
    """A step of the category tree: features at or below it."""

    path: list[str]
    n: int


class Facets(Answer):
    """How the features that a query matches spread over categories, sources, reviews and flags.

    Counts are of all matches. `without` says for each part of the query how many there would be without it.
    """

    n_matches: int
    n_labeled: int
    categories: list[CategoryCount]
    sources: dict[str, int]
    reviews: dict[str, int]
    flags: dict[str, int]
    without: list[int] = Field(description="By part of the query: matches of the query without that part.")


class Label(Answer):
    """One label with its provenance."""

    id: int
    uid: str
    feature_index: int
    semantic_label: str | None
    category_label: str | None
    explanation: str | None
    confidence: float | None
    status: LabelStatus
    source: LabelSource
    provider: str | None
    model: str | None
    evidence_run: int | None
    evidence: dict[str, Any] | None
    job: int | None
    template_version_id: int | None
    failure_cause: FailureCause | None
    is_stale: bool = Field(description="Whether its template has another wording by now.")
    has_answer: bool = Field(description="Whether the exact question and answer are kept: GET /labels/{id}/answer.")
    n_tokens_in: int | None
    n_tokens_out: int | None
    usd: float | None
    seconds: float | None
    review_state: ReviewState
    reject_reason: str | None
    lint: list[str]
    created_by: str | None
    created_at: dt.datetime
    is_current: bool


class FeatureLabels(Answer):
    """Every label of a feature, newest first, and what is in force."""

    feature_index: int
    rev: int = Field(description="Give it back as `expected_rev`, and a change made meanwhile is not overwritten.")
    current: Label | None
    is_favorite: bool
    items: list[Label]


class NewLabel(Request):
    """A label by a person."""

    semantic_label: Annotated[str, Field(min_length=1, max_length=500)]
    category_label: Annotated[str, Field(max_length=500)] | None = None
    explanation: Annotated[str, Field(max_length=5000)] | None = None
    created_by: Annotated[str, Field(max_length=200)] | None = None
    expected_rev: int | None = None


class Review(Request):
    """A decision on a label; a rejection may have a reason."""

    reason: Annotated[str, Field(max_length=2000)] | None = None
    reviewed_by: Annotated[str, Field(max_length=200)] | None = None
    expected_rev: int | None = None


class FavoriteMark(Request):
    """Whether a feature is a favourite."""

    is_favorite: bool = True
    expected_rev: int | None = None


# Reviewing


class _ByReviewer(Request):
    reviewer: Annotated[
        str, Field(min_length=1, max_length=200, description="In whose queue, pace and undo it counts.")
    ]
    expected_rev: int | None = None


class AcceptLabel(_ByReviewer):
    """One of the feature's labels is right."""

    action: Literal[ReviewAction.ACCEPT]
    label_id: int


class RejectLabel(_ByReviewer):
    """One of the feature's labels is wrong."""

    action: Literal[ReviewAction.REJECT]
    label_id: int
    reason: Annotated[str, Field(max_length=4000)] | None = None


class WriteLabel(_ByReviewer):
    """A label in the reviewer's own words, or another's edited."""

    action: Literal[ReviewAction.WRITE]
    semantic_label: Annotated[str, Field(min_length=1, max_length=500)]
    category_label: Annotated[str, Field(max_length=500)] | None = None
    explanation: Annotated[str, Field(max_length=5000)] | None = None


class SkipFeature(_ByReviewer):
    """Not now: it stays out of the reviewer's queue for twelve hours."""

    action: Literal[ReviewAction.SKIP]


NewReview = Annotated[AcceptLabel | RejectLabel | WriteLabel | SkipFeature, Field(discriminator="action")]


class Undo(Request):
    """Whose newest step is taken back."""

    reviewer: Annotated[str, Field(min_length=1, max_length=200)]
    leave_overtaken: bool = Field(
        default=False, description="Leave steps whose label others have judged since, and take back the one before."
    )


class JournalEntry(Answer):
    """One step of a reviewer through the queue; `label_id` is what was accepted, rejected or written."""

    id: int
    feature_index: int
    action: ReviewAction
    label_id: int | None
    semantic_label: str | None = Field(description="The text of that label.")
    reviewer: str
    created_at: dt.datetime
    undone_at: dt.datetime | None


class JournalEntries(Answer):
    """A page of steps, newest first; undone ones too."""

    items: list[JournalEntry]
    next: str | None


class FeatureState(Answer):
    """What is in force for a feature; without a label in force the newest one tells review and lint."""

    feature_index: int
    semantic_label: str | None
    category_label: str | None
    source: LabelSource | None
    label_id: int | None
    review_state: ReviewState
    lint: list[str]
    score: float | None
    is_favorite: bool
    rev: int
    is_waiting: bool = Field(description="Whether it has a label that nobody judged: the queue still holds it.")


class Reviewed(Answer):
    """A step that was taken or undone, and the feature after it."""

    action: JournalEntry
    state: FeatureState
    labels: FeatureLabels


class ReviewProgress(Answer):
    """What a reviewer did in the last twelve hours; what was undone does not count."""

    n_reviewed: int = Field(description="Features with a decision or a new label.")
    n_skipped: int = Field(description="Other features, which were only skipped.")
    since: dt.datetime | None
    per_minute: float | None = Field(description="Features per minute; breaks of over five minutes are left out.")


class ReviewQueue(Answer):
    """The features that wait for a reviewer."""

    run: RunBrief
    snapshot: int
    query: ReadQuery
    order: QueueOrder
    n_matches: int = Field(description="Features that match the query, those that do not wait included.")
    n_waiting: int
    n_skipped: int = Field(description="Matching features that would wait, had the reviewer not just skipped them.")
    ids: list[int] = Field(description="The first of those that wait, in order.")
    progress: ReviewProgress | None = Field(description="Null where no reviewer is named.")


class Categories(Answer):
    """Steps of the category tree of the labels in force, the commonest first."""

    items: list[CategoryCount]


class PeakOctave(Answer):
    """Contexts whose peak lies in [low, high)."""

    low: float
    high: float
    n_contexts: int


class Feature(Answer):
    """Everything that a feature's page shows, in one answer.

    Counts are over counted positions: not padding, not the BOS that was added, not attention sinks.
    """

    sae: Sae
    run: RunBrief
    snapshot: int
    feature_index: int
    flags: list[str]
    duplicate_of: int | None
    n_fires: int
    n_tokens: int
    n_contexts_fired: int
    n_contexts: int
    n_documents_fired: int
    n_documents: int
    n_fires_excluded: int
    max_excluded: float | None
    activation_frequency: float | None
    context_frequency: float | None
    mean_activation: float | None
    std_activation: float | None
    max_activation: float | None
    intervals: dict[str, Interval | None]
    frequency_at_most: float | None = Field(
        description="For a feature that never fired: the frequency that its silence excludes at 95 %."
    )
    histogram: Histogram
    peak_histogram: list[PeakOctave] = Field(description="Contexts by the octave of their peak.")
    position_profile: list[PositionBucket]
    top_tokens: list[TopToken]
    bands: list[BandExamples] = Field(description="All bands, each with its first examples.")
    labels: FeatureLabels
    markdown: str = Field(description="The feature as Markdown, to be copied.")
    cli: str = Field(description="The command that shows the same.")


class Document(Answer):
    """A piece of a document around a context, with the feature's activations where they are known."""

    document: int
    source: str
    external_id: str
    metadata: dict[str, Any]
    split: Literal["label", "score"]
    first_token: int = Field(description="Offset of the piece in the document, in tokens.")
    n_tokens: int
    n_document_tokens: int
    content: TokenText


# Jobs


class Job(Answer):
    """Work in progress, or done."""

    id: int
    uid: str
    kind: str
    queue: str = Field(description="Which workers may take it.")
    state: JobState
    attempt: int
    cancel_requested: bool
    pause_requested: bool
    progress: dict[str, Any] | None = Field(description="phase, done, total, unit, rates and ETA, as the worker tells.")
    result: dict[str, Any] | None
    error_class: str | None
    error_message: str | None
    run: int | None = Field(description="The run that the job made or labeled; null until it has succeeded.")
    spec: dict[str, Any]
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None


class Jobs(Answer):
    """A page of jobs, newest first."""

    items: list[Job]
    next: str | None


class JobEvent(Answer):
    """Something that happened to a job; `seq` counts from 1."""

    seq: int
    at: dt.datetime
    kind: str
    payload: dict[str, Any] | None


class JobEvents(Answer):
    """A job and what happened to it after an event: the polling twin of the event stream."""

    job: Job
    items: list[JobEvent]


class NewJob(Request):
    """A job to be done: its kind and its Spec, the same as the CLI's."""

    kind: str
    spec: dict[str, Any]
