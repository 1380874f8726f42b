"""The plan of a run: which tokens lie in which slot, so that everything after it is a pure function of the plan."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featlas.core.corpus import CorpusArrays
from featlas.core.packing import MIN_BATCH_ROWS, cut_batches, window_width
from featlas.errors import ExternalError, InputError
from featlas.pipeline.plan_documents import Reading, describe_order, read_in_plan_order
from featlas.pipeline.plan_writer import Layout, PlanWriter
from featlas.pipeline.progress import Progress, Stop
from featlas.pipeline.token_spool import PlannedDocument
from featlas.sources.text_files import give_back_read_pages
from featlas.sources.texts import list_files
from featlas.sources.tokenizer import Tokenizer
from featlas.specs import CheckSpec, ExtractSpec, TextSpec, TrainSpec
from featlas.store import artifacts

FORMAT = 1
_CHUNK_TOKENS = 250_000
_CHUNK_DOCUMENTS = 4096
_LAST_TOKENS = 1000
_VERSIONS_OF = ("featlas", "numpy", "tokenizers", "datasets", "pyarrow")


@dataclass(frozen=True, eq=False)
class Plan:
    """A complete plan in a run's artifact folder; its arrays are read-only memory maps.

    `record` is plan.json as it is. n_tokens counts positions of text (no BOS, no gap). n_documents counts those of
    which at least one token is in the plan; the last one may have been cut by `--tokens`.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def seed(self) -> int:
        """Seed of every choice by hash."""
        return self.record["seed"]

    @property
    def block_slots(self) -> int:
        """Slots per block."""
        return self.record["block_slots"]

    @property
    def n_blocks(self) -> int:
        """Number of blocks; block b is slots [b · block_slots, (b + 1) · block_slots)."""
        return self.record["n_blocks"]

    @property
    def n_contexts(self) -> int:
        """Number of contexts."""
        return self.record["n_contexts"]

    @property
    def n_documents(self) -> int:
        """Number of documents."""
        return self.record["n_documents"]

    @property
    def n_tokens(self) -> int:
        """Positions of text."""
        return self.record["n_tokens"]

    @property
    def prepend_bos(self) -> bool:
        """Whether a BOS stands in front of each context."""
        return self.record["prepend_bos"]

    @property
    def corpus_fingerprint(self) -> str:
        """sha256 of token ids, document bounds and splits."""
        return self.record["corpus_fingerprint"]

    @property
    def tokenizer_fingerprint(self) -> str:
        """The tokenizer's sha256."""
        return self.record["tokenizer_fingerprint"]

    @cached_property
    def arrays(self) -> dict[str, NDArray]:
        """Every array of the plan by name."""
        return artifacts.load_plan_arrays(self.folder)

    def corpus(self) -> CorpusArrays:
        """The corpus as the statistics read it."""
        names = CorpusArrays.__dataclass_fields__.keys() - {"n_vocab"}
        missing = sorted(names - self.arrays.keys())
        if missing:
            raise ExternalError(f"{self.folder}: the plan lacks {', '.join(missing)}; run the extraction again")
        return CorpusArrays(**{name: self.arrays[name] for name in names}, n_vocab=self.record["n_vocab"])

    def contexts_of_block(self, block: int) -> tuple[int, int]:
        """(first, end): the contexts of a block are first … end − 1."""
        bounds = np.array([block, block + 1]) * self.block_slots
        first, end = np.searchsorted(self.arrays["context_slot"], bounds)
        return int(first), int(end)

    def batches(self, block: int) -> list[NDArray[np.int64]]:
        """The batches of a block, as context indices: longest contexts first, a pure function of the plan."""
        first, end = self.contexts_of_block(block)
        n = np.asarray(self.arrays["context_n"][first:end])
        return [first + batch for batch in cut_batches(n, self.record["batch_size"], self.record["min_batch_rows"])]

    def document_of_slot(self, slots: NDArray[np.integer]) -> NDArray[np.int64]:
        """The document of each slot, exactly, also where a packed context holds several; −1 for BOS and gaps."""
        start, n = self.arrays["segment_slot"], self.arrays["segment_n"]
        segment = np.maximum(np.searchsorted(start, slots, side="right") - 1, 0)
        is_text = (slots >= start[segment]) & (slots < start[segment] + n[segment])
        return np.where(is_text, self.arrays["segment_document"][segment].astype(np.int64), -1)

    def documents(self) -> Iterator[dict[str, Any]]:
        """Iterate the documents in plan order: document_index, source, external_id, metadata, split."""
        return artifacts.read_plan_documents(self.folder)


def load_plan(folder: Path) -> Plan:
    """The complete plan of a run's folder; NotFoundError where there is none, ExternalError where it is damaged."""
    record = artifacts.load_plan_record(folder)
    if record.get("format") != FORMAT:
        raise ExternalError(
            f"{folder}: a plan of format {record.get('format')}, expected {FORMAT}; run the extraction again"
        )
    return Plan(folder, record)


def make_plan(
    spec: ExtractSpec | CheckSpec | TrainSpec,
    tokenizer: Tokenizer,
    prepend_bos: bool,
    folder: Path,
    progress: Progress,
    stop: Stop,
) -> Plan:
    """Read and tokenise the texts, cut and lay them, and leave the complete plan in the folder, or nothing.

    Raises InputError for a spec that cannot be, for broken texts and where no document has a token; ConflictError
    where the folder already has a plan or the texts change meanwhile; ExternalError where a disk or the hub fails;
    JobCancelled or JobPaused when asked to stop (the next attempt starts again).
    """
    layout = _layout(spec, tokenizer, prepend_bos)
    inputs = inputs_fingerprint(spec)
    partial = artifacts.begin_plan(folder)
    writer = PlanWriter(partial, layout)
    try:
        reading = Reading(spec, tokenizer, prepend_bos, progress, stop)
        with closing(read_in_plan_order(reading, spec.tokens, partial)) as documents:
            for chunk in _chunks(documents, spec.tokens):
                stop.check()
                writer.add(chunk)
                if writer.is_full:
                    break
        writer.finish()
        if writer.n_contexts == 0:
            raise InputError(f"no document with a token in {', '.join(spec.text)}; give texts that are not empty")
        artifacts.publish_plan(folder, _record(spec, layout, tokenizer, writer) | {"inputs_fingerprint": inputs})
    except BaseException:
        writer.discard()
        artifacts.discard_plan(folder)
        raise
    give_back_read_pages()
    return load_plan(folder)


def _layout(spec: ExtractSpec | CheckSpec | TrainSpec, tokenizer: Tokenizer, prepend_bos: bool) -> Layout:
    """How contexts are cut; raises InputError where that is impossible."""
    if prepend_bos and tokenizer.bos_id is None:
        raise InputError("the SAE wants a BOS in front of each context, but the model's tokenizer has none")
    bos_id = tokenizer.bos_id if prepend_bos else None
    window_width(spec.ctx_len, bos_id)
    default: int = ExtractSpec.model_fields["block_slots"].default
    block_slots = spec.block_slots if isinstance(spec, ExtractSpec) else max(default, spec.ctx_len)
    if spec.ctx_len > block_slots:
        raise InputError(f"ctx_len {spec.ctx_len} is more than block_slots {block_slots}; raise block_slots")
    return Layout(spec.ctx_len, spec.packing, bos_id, block_slots, spec.tokens)


def _chunks(documents: Iterable[PlannedDocument], n_wanted: int | None) -> Iterator[list[PlannedDocument]]:
    """Documents in chunks that end as soon as the wanted tokens may be there: reading on can cost another pass."""
    chunk: list[PlannedDocument] = []
    n_tokens, n_before = 0, 0
    for document in documents:
        chunk.append(document)
        n_tokens += len(document.token_ids)
        limit = _CHUNK_TOKENS if n_wanted is None else min(_CHUNK_TOKENS, max(n_wanted - n_before, _LAST_TOKENS))
        if n_tokens >= limit or len(chunk) >= _CHUNK_DOCUMENTS:
            yield chunk
            n_before += n_tokens
            chunk, n_tokens = [], 0
    if chunk:
        yield chunk


def _record(
    spec: ExtractSpec | CheckSpec | TrainSpec, layout: Layout, tokenizer: Tokenizer, writer: PlanWriter
) -> dict[str, Any]:
    n_slots = writer.n_slots
    return {
        "format": FORMAT,
        "spec": spec.model_dump(mode="json"),
        "seed": spec.seed,
        "order": describe_order(spec),
        "packing": layout.packing,
        "ctx_len": layout.ctx_len,
        "prepend_bos": layout.bos_id is not None,
        "bos_id": layout.bos_id,
        "block_slots": layout.block_slots,
        "batch_size": spec.batch_size,
        "min_batch_rows": MIN_BATCH_ROWS,
        "n_blocks": n_slots // layout.block_slots,
        "n_contexts": writer.n_contexts,
        "n_documents": writer.n_documents,
        "n_documents_empty": writer.n_empty,
        "n_tokens": writer.n_tokens,
        "n_vocab": tokenizer.n_vocab,
        "corpus_fingerprint": writer.corpus_fingerprint(),
        "tokenizer_fingerprint": tokenizer.fingerprint,
        "versions": {name: importlib.metadata.version(name) for name in _VERSIONS_OF},
    }


def inputs_fingerprint(spec: TextSpec) -> str:
    """sha256 of what tells the inputs apart without reading them: path, size and time of change of every file.

    Hub data sets count by their name and revision as given. Raises NotFoundError for a missing file.
    """
    files = [[str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns] for path in list_files(spec)]
    return hashlib.sha256(json.dumps([list(spec.text), files]).encode()).hexdigest()
