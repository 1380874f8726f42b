"""What to compute: one frozen, hashed Spec per job kind, shared by CLI, API and Python, so a default exists once."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from featlas.errors import InputError

QUEUES = ("interactive", "extraction", "labeling", "light")
"""What workers wait on: what somebody looks at, what reads text with a model, what asks others, and the rest."""


class Spec(BaseModel):
    """A frozen request; unknown fields are refused. `queue` names the workers that such a job waits for."""

    queue: ClassVar[str] = "light"

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def content_hash(self, *extra: str) -> str:
        """sha256 over all fields and the given fingerprints of the inputs: equal means the same computation."""
        fields = self.model_dump(mode="json", exclude=self._not_hashed())
        text = json.dumps([type(self).__name__, fields, *extra], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @staticmethod
    def _not_hashed() -> set[str]:
        return set()


SomeSpec = TypeVar("SomeSpec", bound=Spec)


def read_spec(kind: type[SomeSpec], fields: Mapping[str, Any]) -> SomeSpec:
    """A spec from fields that somebody sent; InputError names each that is wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc'])) or 'spec'}: {e['msg'].lower()}" for e in error.errors())
        raise InputError("; ".join(wrong)) from error


Place = Annotated[str, Field(min_length=1)]
"""A path or a name of the hub."""


def _off_is_none(value: object) -> object:
    return None if value == "off" else value


class TextSpec(Spec):
    """Which texts are read and how they become contexts; shared by extract, check and train."""

    text: tuple[Place, ...] = Field(
        min_length=1,
        description="Text files (.txt .jsonl .csv .parquet, also .gz), folders, or data sets as "
        "hf:NAME[:CONFIG][@REVISION].",
    )
    text_field: str = Field(
        default="", description="Column that holds the text; empty finds `text` or the only text column."
    )
    tokens_field: str = Field(
        default="", description="Column that holds token ids, for sets that are already tokenised."
    )
    ctx_len: int = Field(default=128, ge=1, le=65_535, description="Most tokens in one context.")
    packing: Literal["document", "packed"] = Field(
        default="document", description="document: no context mixes documents; packed: documents joined end to end."
    )
    order: Literal["hash", "file"] = Field(
        default="hash",
        description="hash: documents in an order that makes every prefix a random sample; file: as they come.",
    )
    seed: int = Field(default=0, ge=-(2**63), lt=2**63, description="Seed of every choice that is made by hash.")


class ModelSpec(Spec):
    """Which language model is read."""

    model: Place = Field(
        description="Language model: a local folder, a hub id, or `smollm2` for the packaged demo model."
    )
    model_revision: str = Field(default="", description="Hub revision of the model; empty means its main branch.")
    lm_dtype: Literal["float32", "bfloat16", "float16"] = Field(
        default="float32", description="Precision of the language model's forward pass."
    )


class SaeSpec(Spec):
    """Which SAE is read and where it is put."""

    sae: Place = Field(description="Folder of the SAE (SAELens format).")
    hook_point: str = Field(
        default="",
        description="Where the SAE reads the model, as blocks.7.hook_resid_post; empty: from the SAE's config.",
    )
    sink_norm_ratio: Annotated[float | None, BeforeValidator(_off_is_none)] = Field(
        default=10.0,
        gt=0,
        description="Positions whose norm exceeds this many times the median are not counted, at residual sites with "
        "a gap; `off` counts all.",
    )


class ExtractSpec(TextSpec, ModelSpec, SaeSpec):
    """One extraction: model × SAE × texts → every feature described."""

    queue: ClassVar[str] = "extraction"

    tokens: int | None = Field(
        default=None, ge=1, description="Stop at the end of the context in which this many positions were read."
    )
    threshold: float = Field(
        default=0.0, ge=0, description="A feature fires where its activation's magnitude exceeds this."
    )
    batch_size: int = Field(default=32, ge=1, description="Contexts per forward pass.")
    top_tokens: int = Field(
        default=50, ge=1, le=1000, description="Tokens kept per ranking (by firings, by precision, by strength)."
    )
    null_features: int = Field(
        default=512, ge=0, le=65_536, description="Random directions taken through the same pass, as a control."
    )
    block_slots: int = Field(
        default=16_384, ge=256, le=65_536, description="Token slots per block, the unit of saving and resuming."
    )
    name: str = Field(default="", max_length=200, description="Name of the run; empty makes one.")
    force: bool = Field(default=False, description="Go on although the self-check refuses; recorded in the run.")

    @field_validator("name")
    @classmethod
    def _refuse_what_cannot_be_told(cls, name: str) -> str:
        if name.isdecimal():
            raise ValueError("digits alone mean a run's number; add a letter")
        if name != name.strip() or any(unicodedata.category(character) == "Cc" for character in name):
            raise ValueError("a name has no space at its ends, and no line breaks or other control characters")
        return name

    @staticmethod
    def _not_hashed() -> set[str]:
        return {"name"}


def _refuse_unstorable(text: str) -> str:
    if re.search("[\0\ud800-\udfff]", text):
        raise ValueError("it holds a character that no text can hold")
    return text


Words = Annotated[str, AfterValidator(_refuse_unstorable)]
"""What somebody writes: without NUL and lone surrogates, which neither a database nor a request takes."""

DEFAULT_MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
"""Which model is asked where none is named; a server of one's own has its own names."""

_ASKING_ONLY = ("model", "template", "dry_run", "budget", "budget_tokens")
"""What would be left unheeded, and is therefore refused, where no language model is asked."""


class LabelOptions(Spec):
    """How features are labeled: by whom, in which words, how fast and for how much."""

    provider: Literal["lexical", "openai", "anthropic", "compatible"] = Field(
        default="lexical",
        description="Who labels; lexical: from the run's own numbers and text, without an LLM; compatible: a server "
        "that speaks OpenAI's protocol (Ollama, vLLM, llama.cpp, LM Studio), at FEATLAS_COMPATIBLE_BASE_URL.",
    )
    model: Words = Field(default="", description="Which model of the provider; empty: gpt-4o-mini or claude-haiku-4-5.")
    template: Words = Field(
        default="",
        description="Prompt template: its name, number or the start of its uid, with @3 for its third version; empty: "
        "the default one.",
    )
    relabel: bool = Field(
        default=False,
        description="Let a language model label features again that have a label; the offline labeler always does.",
    )
    retry_of: int | None = Field(
        default=None,
        ge=1,
        lt=2**63,
        description="Only the features that failed in this labeling job and have no label since.",
    )
    dry_run: int = Field(
        default=0, ge=0, le=100, description="Ask about this many features only, and keep no label; answers are cached."
    )
    budget: float | None = Field(default=None, gt=0, description="Most US dollars to spend; needs a known price.")
    budget_tokens: int | None = Field(default=None, ge=1, description="Most tokens to spend, in and out together.")
    price_in: float | None = Field(
        default=None, ge=0, description="US dollars per million tokens asked, where the model's price is not known."
    )
    price_out: float | None = Field(default=None, ge=0, description="US dollars per million tokens answered.")
    concurrency: int = Field(default=5, ge=1, le=256, description="Calls at the same time.")
    requests_per_minute: float | None = Field(default=None, gt=0, description="Most calls in a minute.")
    tokens_per_minute: float | None = Field(default=None, gt=0, description="Most tokens in a minute, in and out.")
    max_output_tokens: int = Field(default=300, ge=16, le=32_768, description="Longest answer, in tokens.")
    temperature: float | None = Field(
        default=None, ge=0, le=2, description="Sampling temperature; left to the provider where none is given."
    )
    answer_format: Literal["schema", "text"] = Field(
        default="schema",
        description="schema: the answer is held to a JSON schema; text: for servers that know no schemas.",
    )
    timeout_s: float = Field(default=60.0, gt=0, le=3600, description="Seconds that a call may take.")
    max_retries: int = Field(default=5, ge=0, le=20, description="How often a call is repeated that may succeed later.")

    @property
    def asks_a_language_model(self) -> bool:
        """Whether there is a provider to be asked."""
        return self.provider != "lexical"

    @model_validator(mode="after")
    def _refuse_what_cannot_be(self) -> "LabelOptions":
        if not self.asks_a_language_model:
            for name in _ASKING_ONLY:
                if getattr(self, name) != type(self).model_fields[name].default:
                    option = f"--{name.replace('_', '-')}"
                    raise ValueError(f"{option} is for language models; add --provider openai, anthropic or compatible")
        if self.provider == "compatible" and not self.model:
            raise ValueError("--provider compatible needs --model, the name that its server gives the model")
        if (self.price_in is None) != (self.price_out is None):
            raise ValueError("--price-in and --price-out belong together")
        return self


class LabelSpec(LabelOptions):
    """One labeling: the features of a finished run that a query matches get labels."""

    queue: ClassVar[str] = "labeling"

    run: Words = Field(min_length=1, description="Number, name or start of the uid of a finished run.")
    query: Words = Field(
        default="",
        description="Which features, as in `is:unlabeled density:1e-4..`; empty: all that no person labeled.",
    )
    rules: bool = Field(
        default=True, description="Label features of a single token or position by rule, before the provider."
    )

    @property
    def asked_model(self) -> str:
        """The model that is asked; empty for the offline labeler."""
        return self.model or DEFAULT_MODELS.get(self.provider, "")


class CorrelateSpec(Spec):
    """One correlation: which features of a finished run go together, for all of them."""

    queue: ClassVar[str] = "extraction"

    run: Words = Field(min_length=1, description="Number, name or start of the uid of a finished run.")
    unit: Literal["token", "context"] = Field(
        default="token",
        description="What is counted; context: a feature's strongest activation in each, for features that fire a few "
        "tokens apart.",
    )
    partners: int = Field(
        default=20,
        ge=1,
        le=1000,
        description="Most partners kept of each feature by each measure, and as many that avoid it.",
    )


class DirectionOptions(Spec):
    """What is told of the directions of an SAE's features."""

    n_tokens: int = Field(
        default=10, ge=1, le=1000, description="Tokens that each feature promotes, and as many that it suppresses."
    )
    n_neighbours: int = Field(
        default=20, ge=1, le=1000, description="Nearest features of each, by decoder and by encoder direction."
    )
    map: Literal["pca", "umap"] = Field(
        default="pca",
        description="pca: a map of the features by two principal components; umap: that and one by UMAP, which needs "
        "featlas[umap].",
    )


class DirectionsSpec(DirectionOptions):
    """What an SAE's weights say by themselves: tokens, neighbours and a map of its features."""

    queue: ClassVar[str] = "extraction"

    run: Words = Field(min_length=1, description="Number, name or start of the uid of a run: its SAE, its model.")


class CheckSpec(TextSpec, ModelSpec, SaeSpec):
    """A self-check: is this SAE read at the right place, in the right way?"""

    tokens: int = Field(default=4096, ge=1, description="About how many tokens to check on.")
    batch_size: int = Field(default=32, ge=1, description="Contexts per forward pass.")


class TrainSpec(TextSpec, ModelSpec):
    """Train a TopK or BatchTopK SAE on the activations of one hook point, streaming."""

    hook_point: str = Field(description="Where the model is read, as blocks.7.hook_resid_post.")
    out: Place = Field(description="Folder that receives the SAE in SAELens format.")
    architecture: Literal["topk", "batchtopk"] = Field(default="batchtopk", description="Which activation is trained.")
    d_sae: int = Field(default=4096, ge=1, description="Number of features.")
    k: int = Field(default=32, ge=1, description="Features that fire per token (mean, for batchtopk).")
    sae_dtype: Literal["float32", "float16"] = Field(
        default="float32",
        description="Precision of the saved encoder and decoder; the card's figures are of the saved SAE.",
    )
    tokens: int = Field(
        default=10_000_000, ge=1, description="Token steps of training; texts are read again when they end."
    )
    batch_size: int = Field(default=32, ge=1, description="Contexts per forward pass.")
    sae_batch: int = Field(default=2048, ge=1, description="Activations per optimiser step.")
    activations: str = Field(
        default="",
        description="Folder that keeps the activations; a later training of the same reads them instead of the model.",
    )
    buffer_tokens: int = Field(default=262_144, ge=1, description="Size of the shuffle buffer of activations.")
    learning_rate: float = Field(default=5e-4, gt=0, description="Peak learning rate of Adam.")
    aux_coefficient: float = Field(default=1 / 32, ge=0, description="Weight of the loss that revives dead features.")
    density_penalty: float = Field(
        default=0.0, ge=0, description="Weight of a penalty on features that fire on more than --max-density of tokens."
    )
    max_density: float = Field(
        default=0.005, gt=0, le=1, description="Share of tokens up to which firing is free of the penalty."
    )
    start: str = Field(
        default="", description="Folder of an SAE of the same size to go on from; empty: random directions."
    )
    dead_after_tokens: int = Field(
        default=300_000, ge=1, description="A feature silent for this many tokens is helped by the auxiliary loss."
    )
    held_out: float = Field(
        default=0.1, gt=0, lt=1, description="Share of documents, by hash, never trained on and used to measure."
    )
    held_out_tokens: int = Field(default=100_000, ge=1, description="Held-out tokens that the card's figures rest on.")
    sink_norm_ratio: Annotated[float | None, BeforeValidator(_off_is_none)] = Field(
        default=10.0,
        gt=0,
        description="Positions whose norm exceeds this many times the median are left out; `off` keeps all.",
    )
