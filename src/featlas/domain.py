"""The nouns that several rooms of the house share, as frozen dataclasses with no behaviour but their own validity."""

import datetime as dt
import enum
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.errors import InputError

N_GROUPS = 16
"""Document-hash groups of the delete-a-group jackknife."""


class Site(enum.StrEnum):
    """Where inside a block activations are read (TransformerLens' spelling, without the `hook_`)."""

    EMBED = "embed"
    RESID_PRE = "resid_pre"
    RESID_MID = "resid_mid"
    RESID_POST = "resid_post"
    ATTN_OUT = "attn_out"
    Z = "z"
    MLP_IN = "mlp_in"
    MLP_OUT = "mlp_out"

    @property
    def is_residual(self) -> bool:
        """Whether this site is the residual stream itself, where attention sinks have enormous norms."""
        return self in (Site.RESID_PRE, Site.RESID_MID, Site.RESID_POST)


_HOOK_PATTERN = re.compile(r"^blocks\.(\d+)\.((?:attn\.|mlp\.)?hook_\w+)$", re.ASCII)


@dataclass(frozen=True)
class HookPoint:
    """A place in the model where activations are read: layer (0-based) and site."""

    layer: int
    site: Site

    @classmethod
    def parse(cls, text: str) -> "HookPoint":
        """Read `blocks.7.hook_resid_post` or `hook_embed`; raises InputError for anything else."""
        if text == "hook_embed":
            return cls(0, Site.EMBED)
        in_blocks = {f"hook_{site}": site for site in Site if site is not Site.EMBED}
        # Under attn and mlp only these two: blocks.L.attn.hook_in, say, is another place than blocks.L.mlp.hook_in.
        spellings = {**in_blocks, "attn.hook_z": Site.Z, "mlp.hook_in": Site.MLP_IN}
        match = _HOOK_PATTERN.match(text)
        site = spellings.get(match.group(2)) if match else None
        if match is None or site is None:
            sites = ", ".join(f"blocks.L.{name}" for name in in_blocks)
            raise InputError(f"unknown hook point {text!r}; expected hook_embed or one of: {sites}")
        return cls(int(match.group(1)), site)

    def __str__(self) -> str:
        return "hook_embed" if self.site is Site.EMBED else f"blocks.{self.layer}.hook_{self.site}"


class JobState(enum.StrEnum):
    """The life of a job: queued → running → succeeded | failed | cancelled; running → paused → queued."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AccessKind(enum.StrEnum):
    """What lets somebody in: a token for programs, a one-time address, and the cookie that it is exchanged for."""

    TOKEN = "token"
    LOGIN = "login"
    SESSION = "session"


class AccessScope(enum.StrEnum):
    """What somebody who is let in may do."""

    READ = "read"
    WRITE = "write"


class DirectionKind(enum.StrEnum):
    """Which of a feature's two directions: what it writes to the model, or what it looks for in it."""

    DECODER = "decoder"
    ENCODER = "encoder"


class MapMethod(enum.StrEnum):
    """How the features' decoder directions are laid out in the plane."""

    PCA = "pca"
    UMAP = "umap"


class RunState(enum.StrEnum):
    """A run is pending until its final snapshot is published."""

    PENDING = "pending"
    FINISHED = "finished"


class SaeOrigin(enum.StrEnum):
    """Whether Featlas trained the SAE or read one that came from elsewhere."""

    TRAINED = "trained"
    EXTERNAL = "external"


class LabelStatus(enum.StrEnum):
    """What came of asking for a label; an abstention is an answer, a failure is not."""

    LABELED = "labeled"
    ABSTAINED = "abstained"
    FAILED = "failed"


class FailureCause(enum.StrEnum):
    """Why a labeler's answer did not come, or could not be used."""

    AUTH = "auth"
    RATE_LIMIT = "rate_limit"
    REFUSED = "refused"
    BAD_ANSWER = "bad_answer"
    TRUNCATED = "truncated"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    SERVER = "server"
    REQUEST = "request"


class ReviewAction(enum.StrEnum):
    """What a person did with a feature in the review queue."""

    ACCEPT = "accept"
    REJECT = "reject"
    WRITE = "write"
    SKIP = "skip"


class QueueOrder(enum.StrEnum):
    """What comes first in the review queue: what is most in doubt (lint, low scores), or what the query puts first."""

    DOUBT = "doubt"
    QUERY = "query"


class LabelSource(enum.StrEnum):
    """Who or what made a label; a human's is never replaced by a machine's."""

    HUMAN = "human"
    LLM = "llm"
    RULE = "rule"
    LEXICAL = "lexical"
    IMPORTED = "imported"


class ReviewState(enum.StrEnum):
    """What people decided about a label."""

    UNREVIEWED = "unreviewed"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class Split(enum.IntEnum):
    """The side of the corpus a document is on: labelers read LABEL only, scorers SCORE only."""

    LABEL = 0
    SCORE = 1


class Cause(enum.IntEnum):
    """Why a token slot is not counted; 0 means that it is."""

    COUNTED = 0
    BOS = 1
    SINK = 2
    PADDING = 3


class Unit(enum.StrEnum):
    """What correlations count: tokens at counted positions, or contexts that hold one."""

    TOKEN = "token"
    CONTEXT = "context"


class Measure(enum.StrEnum):
    """How two features go together: by their activations, the ranks of these, or whether they fire."""

    COSINE = "cosine"
    PEARSON = "pearson"
    SPEARMAN = "spearman"
    JACCARD = "jaccard"


class NoMeasure(enum.StrEnum):
    """Why a feature has no correlation: it never fires, or it is the same at every unit."""

    DEAD = "dead"
    CONSTANT = "constant"


@dataclass(frozen=True)
class PartnerLists:
    """The partners of n features by one measure; feature f has `[indptr[f]:indptr[f + 1]]`, the surest first.

    Those that go together (value > 0) come before those that avoid each other (value < 0). `low` is the end of the
    interval that is nearer to 0, `n_both` the units at which both fire. `reasons` say which features have no such
    measure. `near_duplicate_of` is the lowest index of a feature before it that is nearly the same, −1 for none.
    """

    indptr: NDArray[np.int64]  # [n + 1]
    partner: NDArray[np.uint32]
    value: NDArray[np.float32]
    low: NDArray[np.float32]
    n_both: NDArray[np.uint32]
    near_duplicate_of: NDArray[np.int64]  # [n]
    reasons: tuple[NoMeasure | None, ...]  # [n]

    def of(self, feature: int) -> slice:
        """Where the partners of feature f lie."""
        return slice(int(self.indptr[feature]), int(self.indptr[feature + 1]))


class FeatureFlag(enum.IntFlag):
    """What is known of a feature from its counts alone."""

    DEAD = 1
    DENSE = 2
    SINK_ONLY = 4
    NULL = 8
    DUPLICATE = 16


@dataclass(frozen=True)
class TokenRows:
    """A part of the token table: one row per (feature, token id), sorted by both.

    `sum` and `max` are over the feature's events on that token; `n_fires_score_split` and `sum_score_split` count the
    score split's share of `n_fires` and `sum`.
    """

    feature_index: NDArray[np.uint32]
    token_id: NDArray[np.uint32]
    n_fires: NDArray[np.int64]
    n_fires_score_split: NDArray[np.int64]
    sum: NDArray[np.float64]
    sum_score_split: NDArray[np.float64]
    max: NDArray[np.float32]


class Band(enum.StrEnum):
    """The kinds of examples; the octave bands `octave:N` hold contexts whose peak lies in [2^N, 2^(N+1))."""

    TOP = "top"
    UNIFORM = "uniform"
    NEAR_MISS = "near_miss"
    NON_FIRING = "non_firing"


@dataclass(frozen=True)
class ExampleBand:
    """The published examples of one feature in one band, in order.

    An example is a whole context plus the feature's events in it: `position` and `value` of example `e` are
    `[indptr[e]:indptr[e + 1]]`; `peak_position` is the event of largest magnitude (for near misses and non-firing
    contexts, which have no events, the position shown first). `n_in_band` counts all contexts of the corpus in this
    band, not only those published.
    """

    feature_index: int
    band: str
    n_in_band: int
    context_index: NDArray[np.uint32]
    split: NDArray[np.uint8]
    peak_position: NDArray[np.uint16]
    n_similar: NDArray[np.uint32]
    indptr: NDArray[np.uint32]
    position: NDArray[np.uint16]
    value: NDArray[np.float32]


@dataclass(frozen=True)
class FeatureBatch:
    """Everything that is published of features `first_feature …`, as columns; n = number of features in the batch.

    Sums, mean and std are over events only, in the SAE's own units. `histogram` counts events by value (bins of
    `core.histogram`), `peak_histogram[split]` counts contexts by the octave of their peak, `position_profile[split]`
    events by position bucket (`core.positions`). `duplicate_of` is the lowest index of a feature with the same firings,
    −1 where there is none. Null features have indices from d_sae upwards and the flag NULL.
    """

    first_feature: int
    n_fires: NDArray[np.int64]
    n_contexts_fired: NDArray[np.int64]
    n_documents_fired: NDArray[np.int64]
    sum: NDArray[np.float64]
    sum_sq: NDArray[np.float64]
    max: NDArray[np.float32]
    n_fires_excluded: NDArray[np.int64]
    max_excluded: NDArray[np.float32]
    group_n_fires: NDArray[np.int64]
    group_sum: NDArray[np.float64]
    flags: NDArray[np.uint32]
    duplicate_of: NDArray[np.int64]
    histogram: NDArray[np.int64]
    peak_histogram: NDArray[np.int64]
    position_profile: NDArray[np.int64]
    intervals: dict[str, NDArray[np.float64]]
    top_tokens: TokenRows
    examples: list[ExampleBand]

    def __len__(self) -> int:
        return len(self.n_fires)


@dataclass(frozen=True)
class ContextBatch:
    """Contexts to be published; context `context_index[i]` has the tokens `token_ids[indptr[i]:indptr[i + 1]]`.

    `token_offset` is the place of the first token in its document, in tokens.
    """

    context_index: NDArray[np.int64]
    document_index: NDArray[np.int64]
    token_offset: NDArray[np.int64]
    indptr: NDArray[np.int64]
    token_ids: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.context_index)


@dataclass(frozen=True)
class SnapshotHeader:
    """What a snapshot of a run rests on; `n_features` includes null features, `n_excluded` is by name of the cause.

    `n_positions` counts all positions read, `n_tokens` those that count. `histogram_edges` are the ascending, finite
    edges of the bins in which FeatureBatch.histogram counts. `quality` holds L0, FVU and the like, as plain numbers.
    `position_n_tokens` [2, n_buckets] counts the positions that count by split and bucket; None in old snapshots.
    """

    is_partial: bool
    n_features: int
    n_documents: int
    n_contexts: int
    n_positions: int
    n_tokens: int
    n_excluded: Mapping[str, int]
    histogram_edges: NDArray[np.float64]
    quality: Mapping[str, float | int | None] | None = None
    position_n_tokens: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Histogram:
    """Events by value: `counts[i]` lie between `edges[i]` and `edges[i + 1]`; both empty if nothing fired."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class TokenStat:
    """How a feature and a token go together, over counted positions; `n_occurrences` is the corpus's."""

    token_id: int
    token: str
    n_fires: int
    n_occurrences: int
    mean_activation: float
    max_activation: float
    p_fire_given_token: float | None
    p_token_given_fire: float


@dataclass(frozen=True)
class Example:
    """A context that shows something of a feature, with the feature's events in it.

    `token_spans` are (start, end) code points of each token in `text`; they tile it, but tokens that split a character
    share that character. `peak` is the position of the event of largest magnitude, `max_activation` its value; where
    nothing fires `max_activation` is None and `peak` the position to show first.
    """

    band: str
    document: int
    context: int
    token_offset: int
    text: str
    token_spans: tuple[tuple[int, int], ...]
    peak: int
    positions: tuple[int, ...]
    values: tuple[float, ...]
    max_activation: float | None
    n_similar: int
    split: Split


@dataclass(frozen=True)
class FeatureStats:
    """Everything that a run says of one feature; numbers that do not exist are None, `examples` where not asked for."""

    feature_index: int
    n_fires: int
    n_tokens: int
    activation_frequency: float | None
    n_contexts_fired: int
    context_frequency: float | None
    mean_activation: float | None
    std_activation: float | None
    max_activation: float | None
    histogram: Histogram
    top_tokens: tuple[TokenStat, ...]
    flags: FeatureFlag
    n_fires_excluded: int
    intervals: Mapping[str, Interval | None]
    examples: tuple[Example, ...] | None = None
    duplicate_of: int | None = None


MICRO_USD = 1_000_000
"""Money is counted in whole millionths of a US dollar, and shown in dollars."""


def to_usd(micro_usd: int | None) -> float | None:
    """Millionths of a US dollar in dollars; None stays None: no price is known."""
    return None if micro_usd is None else micro_usd / MICRO_USD


@dataclass(frozen=True)
class Label:
    """One label that was given to a feature, with where it comes from; `is_current` says whether it is in force.

    Text is None where the labeler abstained or failed; `failure_cause` says why it failed. `restored_from` names the
    older label that a person brought back by this one, `superseded_by` the one that took its place. `response_key` is
    that of the kept answer of a language model, which holds the exact prompt; its tokens, cost (in millionths of a US
    dollar, None where no price is known) and seconds are None for labels of other labelers. `is_stale` says that its
    template has another wording by now.
    """

    id: int
    uid: str
    sae_id: int
    feature_index: int
    semantic_label: str | None
    category_label: str | None
    explanation: str | None
    confidence: float | None
    status: LabelStatus
    source: LabelSource
    provider: str | None
    model: str | None
    evidence_run_id: int | None
    labeling_job_id: int | None
    evidence_hash: str | None
    evidence: Mapping[str, Any] | None
    lint: tuple[str, ...]
    review_state: ReviewState
    reject_reason: str | None
    reviewed_by: str | None
    reviewed_at: dt.datetime | None
    created_by: str | None
    created_at: dt.datetime
    restored_from: int | None
    superseded_by: int | None
    is_current: bool
    template_version_id: int | None = None
    failure_cause: FailureCause | None = None
    response_key: str | None = None
    n_tokens_in: int | None = None
    n_tokens_out: int | None = None
    cost_micro_usd: int | None = None
    wall_s: float | None = None
    is_stale: bool = False


@dataclass(frozen=True)
class FeatureState:
    """What is in force for a feature of an SAE; `rev` is 0 where nobody has said anything of it yet.

    Without a label in force, review and lint are those of the newest label that has a text.
    """

    sae_id: int
    feature_index: int
    semantic_label: str | None = None
    category_label: str | None = None
    label_source: LabelSource | None = None
    current_label_id: int | None = None
    labeling_job_id: int | None = None
    review_state: ReviewState = ReviewState.UNREVIEWED
    lint_flags: tuple[str, ...] = ()
    score: float | None = None
    is_favorite: bool = False
    rev: int = 0


@dataclass(frozen=True)
class EvidenceOptions:
    """How much of a feature a prompt shows; what the template does not ask for is not counted.

    Examples come from the label split: `n_top` strongest ones, `n_spread` drawn from the whole distribution,
    `n_near_misses` contexts with its tokens in which it is silent, `n_non_firing` others. Each is cut to `window`
    tokens around its peak. `n_tokens` rows of the token table, `n_logits` promoted and as many suppressed tokens.
    """

    n_top: int = 6
    n_spread: int = 10
    n_near_misses: int = 4
    n_non_firing: int = 4
    n_tokens: int = 15
    n_logits: int = 10
    window: int = 40


@dataclass(frozen=True)
class TokenCount:
    """How often a feature fires on a token and how often the token stands there, on the label split."""

    token: str
    n_fires: int
    n_occurrences: int


@dataclass(frozen=True)
class PromptEvidence:
    """What a prompt may show of a feature: all of it from the label split, or from the weights.

    `top` are the strongest examples, `spread` others from the whole distribution, strongest first; `near_misses` and
    `non_firing` are contexts in which it is silent. `tokens` are the commonest it fires on. `max_activation` is that of
    the label split; it and the mean are None where the feature is silent there. `promoted` and `suppressed` are tokens
    by their logits, None where these were not computed.
    """

    feature_index: int
    model: str
    hook_point: str
    n_tokens: int
    n_fires: int
    n_contexts_fired: int
    mean_activation: float | None
    max_activation: float | None
    tokens: tuple[TokenCount, ...]
    top: tuple[Example, ...]
    spread: tuple[Example, ...]
    near_misses: tuple[Example, ...]
    non_firing: tuple[Example, ...]
    promoted: tuple[str, ...] | None = None
    suppressed: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PromptWording:
    """What a language model is asked: system and user text with `{variables}`, and how much evidence they show."""

    system_text: str
    user_text: str
    evidence: EvidenceOptions = field(default_factory=EvidenceOptions)

    @property
    def content_hash(self) -> str:
        """sha256 of all of it: the same hash asks the same."""
        text = json.dumps([self.system_text, self.user_text, asdict(self.evidence)], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class PromptTemplate:
    """A named prompt in one of its versions: the newest unless another was asked for.

    `usage_count` counts labeling jobs. `is_shipped` templates came with Featlas.
    """

    id: int
    uid: str
    name: str
    description: str
    is_shipped: bool
    is_default: bool
    is_favorite: bool
    usage_count: int
    version_id: int
    version: int
    n_versions: int
    wording: PromptWording
    created_at: dt.datetime
    updated_at: dt.datetime
