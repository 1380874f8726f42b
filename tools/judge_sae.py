"""Say how far an SAE's features go beyond random directions, on documents that it was not trained on.

    python -m tools.judge_sae --sae data/demo-sae --text FILE [FILE …] [--tokens N] [--held-out 0.1] [--save]

Runs an extraction over the held-out documents (those whose hash is in the lowest share) with null features, then
compares the concentration of each feature's twenty strongest documents (the larger of the share with the commonest word
at the peak and the share with the commonest topic) with the 95th percentile of the null features, and counts the
features that detect a token or a topic with an AUC of 0.9 (picked on the label split, measured on the score split).
"""

import argparse
import gzip
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tools.record import save_record

from featlas.core.aggregate import fold
from featlas.core.concentration import (
    DocumentPeakRows,
    DocumentPeaks,
    find_token_detectors,
    pick_on_label_split,
    top_concentration,
    topic_auc,
    word_of_tokens,
)
from featlas.core.corpus import CorpusArrays
from featlas.core.corpus_index import index_corpus
from featlas.core.describe import DescribeOptions, FeatureRange, describe_features
from featlas.core.hashing import hash_bytes
from featlas.domain import Split
from featlas.entry.worker import load_settings
from featlas.pipeline.describe_run import add_up_blocks, choose_ranges, read_chunks
from featlas.pipeline.extract import run_extraction
from featlas.pipeline.identity import extraction_hash
from featlas.pipeline.opening import open_tokenizer
from featlas.pipeline.plan import Plan, load_plan
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.pipeline.registry import JobContext
from featlas.sources.sae_files import load_sae
from featlas.specs import ExtractSpec
from featlas.store.artifacts import artifact_name
from featlas.store.session import Store

TOP_K = 20
GOOD_AUC = 0.9
MIN_DOCUMENTS = 10


def save_held_out(text: Path, share: float, out: Path) -> int:
    """Copy the documents that training left out; returns how many."""
    n = 0
    open_text = gzip.open if text.suffix == ".gz" else open
    with open_text(text, "rt", encoding="utf-8") as lines, out.open("w", encoding="utf-8") as kept:
        for line in lines:
            if hash_bytes(json.loads(line)["text"].encode()) < int(share * 2**64):
                kept.write(line)
                n += 1
    return n


def document_topics(plan: Plan) -> NDArray[np.int64]:
    """A number per document's topic, −1 where it has none, is uncategorised, or where its source has only one topic.

    Such a topic is the source by another name: any direction tells program code or recipes from prose.
    """
    rows = [row["metadata"] for row in plan.documents()]
    pairs = [(row.get("source", ""), row.get("topic", "")) for row in rows]
    known = {pair for pair in pairs if pair[1] not in ("", "Uncategorized")}
    n_topics = Counter(source for source, _ in known)
    names = sorted({topic for source, topic in known if n_topics[source] > 1})
    return np.array([names.index(topic) if n_topics[source] > 1 and topic in names else -1 for source, topic in pairs])


def strongest_of_both(
    top_documents: NDArray[np.int64], peaks: DocumentPeakRows, corpus: CorpusArrays
) -> NDArray[np.int64]:
    """One list of peaks' slots per feature [n, 2k], strongest first, of the two splits' lists [n, 2, k].

    Concentration picks nothing that would have to be measured elsewhere, so it may use every document.
    """
    slot = top_documents.reshape(len(top_documents), -1)
    is_there = slot >= 0
    document = corpus.context_document[np.where(is_there, corpus.context_of_slot[np.where(is_there, slot, 0)], 0)]
    known = peaks.feature * corpus.n_documents + peaks.document
    wanted = np.arange(len(slot))[:, None] * corpus.n_documents + document
    size = np.full(slot.shape, -1.0)
    size[is_there] = peaks.size[np.searchsorted(known, wanted[is_there])]
    return np.take_along_axis(slot, np.argsort(-size, axis=1, kind="stable"), axis=1)


def judge_range(plan: Plan, features: range, n_real: int, corpus, index, words, topics) -> Iterator[NDArray]:
    """Concentration, token AUC and topic AUC of a range of features. Each of shape [n]."""
    blocks = list(range(plan.n_blocks))
    nothing = FeatureRange(features.start, np.zeros(len(features), np.int64), np.zeros(len(features), np.float32))

    def chunks():
        return read_chunks(plan, blocks, features.start, features.stop)

    described = describe_features(nothing, chunks, corpus, index, DescribeOptions(n_real=n_real))
    folded = DocumentPeaks()
    fold(chunks(), corpus, folded)
    peaks = folded.result()
    top = top_concentration(strongest_of_both(described.top_documents, peaks, corpus), corpus, words, topics, TOP_K)
    yield np.fmax(top.word.share, top.topic.share)
    yield find_token_detectors(described.token_rows, features, index.totals.n_occurrences).auc
    on_split = [
        topic_auc(peaks, len(features), topics, corpus.document_split == split, MIN_DOCUMENTS)
        for split in (Split.LABEL, Split.SCORE)
    ]
    yield pick_on_label_split(*on_split).value


def judge(plan: Plan, n_features: int, n_real: int, words: NDArray[np.int64]) -> dict[str, Any]:
    """All figures of a run."""
    cause = np.array(plan.corpus().cause)
    n_events = add_up_blocks(plan, list(range(plan.n_blocks)), n_features, cause).n_events
    corpus = replace(plan.corpus(), cause=cause)
    index = index_corpus(corpus, plan.seed)
    topics = document_topics(plan)
    parts = [
        list(judge_range(plan, range(first, last), n_real, corpus, index, words, topics))
        for first, last in choose_ranges(n_events)
    ]
    concentration, token, topic = (np.concatenate(column) for column in zip(*parts, strict=True))
    is_real = np.arange(n_features) < n_real
    is_live = is_real & (n_events > 0)
    is_rated = ~np.isnan(concentration)
    bar = float(np.nanpercentile(concentration[~is_real], 95))
    is_detector = np.fmax(token, topic) >= GOOD_AUC
    return {
        "n_tokens": index.totals.n_tokens,
        "n_documents": corpus.n_documents,
        "n_live": int(is_live.sum()),
        "n_rated": int((is_live & is_rated).sum()),
        "null_median": float(np.nanmedian(concentration[~is_real])),
        "null_95": bar,
        "feature_median": float(np.nanmedian(concentration[is_live])),
        "share_of_live_above_null_95": float((concentration[is_live] > bar).mean()),
        "share_of_rated_above_null_95": float((concentration[is_live & is_rated] > bar).mean()),
        "n_detectors": int((is_detector & is_live).sum()),
        "n_token_detectors": int(((token >= GOOD_AUC) & is_live).sum()),
        "n_topic_detectors": int(((topic >= GOOD_AUC) & is_live).sum()),
        "share_of_null_detectors": float(is_detector[~is_real].mean()),
    }


def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Extract over the held-out documents and judge."""
    settings = load_settings()
    texts = []
    for number, text in enumerate(options.text):
        texts.append(str(folder / f"held-out-{number}.jsonl"))
        save_held_out(text, options.held_out, Path(texts[-1]))
    spec = ExtractSpec(
        model="smollm2", sae=str(options.sae), text=tuple(texts), tokens=options.tokens, lm_dtype=options.lm_dtype
    )
    store = Store.open(f"sqlite:///{folder / 'featlas.db'}")
    context = JobContext(
        store=store,
        artifacts_path=folder / "artifacts",
        cache_path=settings.cache_path,
        device=settings.device,
        threads=settings.threads,
        job_id=None,
        guard=lambda _session: None,
        progress=NoProgress(),
        stop=NeverStop(),
    )
    result = run_extraction(spec, context)
    store.close()
    plan = load_plan(context.artifacts_path / artifact_name(extraction_hash(spec), None))
    n_real = load_sae(str(options.sae)).params.d_sae
    tokenizer = open_tokenizer(spec, context.cache_path)
    words = word_of_tokens([tokenizer.decode_bytes(np.array([i])) for i in range(tokenizer.n_vocab)])
    figures = judge(plan, n_real + spec.null_features, n_real, words)
    return {"fvu": result["fvu"], "l0": result["l0"], **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sae", type=Path, default=Path("data/demo-sae"))
    parser.add_argument("--text", type=Path, nargs="+", default=[Path("data/demo-corpus.jsonl.gz")])
    parser.add_argument("--tokens", type=int, default=None)
    parser.add_argument("--held-out", type=float, default=0.1)
    parser.add_argument("--lm-dtype", default="float32")
    parser.add_argument("--save", action="store_true", help="keep the figures as a record in docs/records")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="featlas-judge-") as folder:
        figures = run(options, Path(folder))
    print(json.dumps(figures, indent=1))
    if options.save:
        save_record("demo-sae", figures, settings={"lm_dtype": options.lm_dtype, "held_out": options.held_out})


if __name__ == "__main__":
    main()
