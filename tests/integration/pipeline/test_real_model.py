"""SmolLM2 on text in many scripts: what a run says of 50 features equals loops over its own activations."""

import math
import statistics as plain
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sqlalchemy import text as sql
from tests.builders.made_texts import save_documents
from tests.builders.random_sae import save_random_sae
from tests.builders.real_texts import CHAT, real_documents
from tests.integration.pipeline.conftest import MakeWorkbench
from tests.integration.pipeline.workbench import Workbench, open_for_pass
from tests.oracles import statistics
from tests.oracles.token_text import token_bytes
from tests.oracles.worlds import World
from transformers import AutoModelForCausalLM

from featlas.core.corpus import CorpusArrays
from featlas.core.events import FeatureEvents
from featlas.domain import HookPoint
from featlas.pipeline.block_pass import lay_out_batch
from featlas.pipeline.plan import Plan, make_plan
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.sources.sae_files import load_sae
from featlas.sources.tokenizer import Tokenizer
from featlas.store.artifacts import list_tables, open_table, read_block_slice
from featlas.store.json_shapes import feature_to_json
from featlas.store.read import fetch_feature, read_features
from featlas.store.runs import Run

HOOK_POINT = "blocks.11.hook_resid_post"
D_SAE, SEED, CTX_LEN = 512, 3, 64
CHOSEN = range(3, D_SAE, 10)  # 51 features, from the rarest to the most frequent
COUNTED = 0


@dataclass(frozen=True)
class RealRun:
    """A run, and the dense truth: activations and their norms by slot, computed by transformers itself."""

    workbench: Workbench
    run: Run
    documents: list[str]
    model_folder: Path
    acts: np.ndarray  # [n_slots, d_in], zeros in gaps

    @cached_property
    def plan(self) -> Plan:
        return self.workbench.plan_of(self.run)

    @cached_property
    def corpus(self) -> CorpusArrays:
        """With the causes that this run's rule gives, found again from the norms."""
        corpus = self.plan.corpus()
        cause = np.array(corpus.cause)
        norms = np.linalg.norm(self.acts.astype(np.float64), axis=1)
        if self.run.spec["sink_norm_ratio"] is not None:
            is_text = cause == COUNTED
            median = np.sort(norms[is_text])[(is_text.sum() - 1) // 2]
            cause[is_text & (norms > 10 * median)] = 2
        return CorpusArrays(**{**vars(corpus), "cause": cause})

    def events(self, feature: int) -> list[tuple[int, float]]:
        """(slot, value) of one feature by the run's block files, ascending."""
        found = []
        for block in range(self.plan.n_blocks):
            _, slot, value = read_block_slice(self.plan.folder, block, feature, 1)
            found += zip((slot.astype(int) + block * self.plan.block_slots).tolist(), value.tolist(), strict=True)
        return found

    def world(self, feature: int) -> World:
        slot, value = zip(*self.events(feature), strict=True)
        indptr = np.array([0, len(slot)])
        events = FeatureEvents(feature, indptr, np.array(slot), np.array(value, dtype=np.float32))
        return World(self.corpus, events)

    def feature(self, index: int) -> dict[str, Any]:
        with self.workbench.store.read() as session:
            return feature_to_json(fetch_feature(session, self.run, index))


def hidden_states(model_folder: Path, plan: Plan, layer: int) -> np.ndarray:
    """What transformers says is the output of a layer, batch by batch as the plan has them. [n_slots, d_model]"""
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()
    model.model.layers = model.model.layers[: layer + 2]  # the last layer's hidden state would be a normed one
    corpus = plan.corpus()
    out = np.zeros((len(corpus.token_ids), model.config.hidden_size), dtype=np.float32)
    for block in range(plan.n_blocks):
        for contexts in plan.batches(block):
            rows = lay_out_batch(corpus, contexts, 0)
            with torch.no_grad():
                found = model(rows.token_ids, output_hidden_states=True, use_cache=False).hidden_states[layer + 1]
            out[rows.slot] = found[rows.mask].numpy()
    return out


@pytest.fixture(scope="module")
def documents() -> list[str]:
    return real_documents(n_demo=8)


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, make_workbench: MakeWorkbench, smollm2_folder: Path, documents: list[str]
) -> Workbench:
    folder = tmp_path_factory.mktemp("real")
    shared = {
        "model": str(smollm2_folder),
        "sae": str(folder / "sae"),
        "text": (str(save_documents(folder / "real.jsonl", documents)),),
        "ctx_len": CTX_LEN,
        "block_slots": 1024,
        "null_features": 32,
        "seed": SEED,
        "force": True,  # random directions reconstruct nothing
    }
    return make_workbench(folder, **shared)


@pytest.fixture(scope="module")
def truth(bench: Workbench, smollm2_folder: Path) -> np.ndarray:
    """The layer's output by slot; the workbench's SAE is made of it, so that it fires as often as wanted."""
    tokenizer = Tokenizer.load(smollm2_folder)
    plan = make_plan(bench.spec(), tokenizer, False, bench.folder / "planned", NoProgress(), NeverStop())
    acts = hidden_states(smollm2_folder, plan, HookPoint.parse(HOOK_POINT).layer)
    norms = np.linalg.norm(acts, axis=1)
    ordinary = acts[(norms > 0) & (norms < 10 * np.median(norms[norms > 0]))]
    save_random_sae(bench.folder / "sae", ordinary, HOOK_POINT, d_sae=D_SAE, rates=(0.002, 0.3))
    return acts


@pytest.fixture(scope="module")
def default_run(bench: Workbench, truth: np.ndarray) -> Run:
    return bench.extract()


@pytest.fixture(scope="module", params=["default", "off"])
def real(
    request: pytest.FixtureRequest,
    bench: Workbench,
    truth: np.ndarray,
    default_run: Run,
    documents: list[str],
    smollm2_folder: Path,
) -> RealRun:
    run = default_run if request.param == "default" else bench.extract(sink_norm_ratio="off")
    return RealRun(bench, run, documents, smollm2_folder, truth)


def test_sinks_are_left_out_by_the_default_rule_only(real: RealRun) -> None:
    cause = real.corpus.cause
    n_sinks = int((cause == 2).sum())
    header = real.run.header
    assert header is not None
    assert {"bos": 0, "sink": n_sinks} == dict(header.n_excluded)
    assert int((cause == COUNTED).sum()) == header.n_tokens
    assert (n_sinks > 5) == (real.run.spec["sink_norm_ratio"] is not None)
    if n_sinks:  # the first position of every context is one, in this model
        assert set(real.corpus.context_slot.tolist()) <= set(np.flatnonzero(cause == 2).tolist())


def test_events_are_those_of_a_dense_encoding_of_hidden_states(real: RealRun) -> None:
    sae = load_sae(real.run.spec["sae"]).params
    assert sae.threshold is not None
    threshold = sae.threshold.numpy().astype(np.float64)
    dense = (real.acts.astype(np.float64) - sae.b_dec.numpy()) @ sae.W_enc.numpy().astype(np.float64)
    norms = np.linalg.norm(real.acts - sae.b_dec.numpy(), axis=1)
    is_counted = real.corpus.cause == COUNTED
    for feature in range(D_SAE):
        expected = np.flatnonzero(is_counted & (dense[:, feature] > threshold[feature]))
        found = real.events(feature)
        assert expected.tolist() == [slot for slot, _ in found]
        error = np.abs(np.array([value for _, value in found]) - dense[expected, feature])
        assert (error <= 1e-6 * norms[expected]).all()  # float32: relative to what was summed, not to the sum


def test_counts_sums_and_histograms(real: RealRun) -> None:
    corpus = real.corpus
    n_tokens = int((corpus.cause == COUNTED).sum())
    for index in CHOSEN:
        feature, events = real.feature(index), real.events(index)
        values = [value for _, value in events]
        contexts = {int(corpus.context_of_slot[slot]) for slot, _ in events}
        assert (len(values), n_tokens, len(contexts)) == (
            feature["n_fires"],
            feature["n_tokens"],
            feature["n_contexts_fired"],
        )
        assert len(values) / n_tokens == feature["activation_frequency"]
        assert len(contexts) / corpus.n_contexts == feature["context_frequency"]
        assert pytest.approx(math.fsum(values) / len(values), rel=1e-12) == feature["mean_activation"]
        spread = plain.stdev(values) if len(values) > 1 else 0.0
        assert pytest.approx(spread, rel=1e-6, abs=1e-6 * max(values)) == feature["std_activation"]
        assert max(values) == feature["max_activation"]
        edges, counts = feature["histogram"]["edges"], feature["histogram"]["counts"]
        assert [sum(low <= v < high for v in values) for low, high in pairwise(edges)] == counts
        assert len(values) == sum(counts)


def test_stored_sums(real: RealRun) -> None:
    with real.workbench.store.read() as session:
        columns = "feature_index, sum, sum_sq, n_documents_fired"
        rows = session.execute(sql(f"SELECT {columns} FROM features WHERE snapshot_id = {real.run.snapshot_id}")).all()
    corpus, by_feature = real.corpus, {row.feature_index: row for row in rows}
    for index in CHOSEN:
        events = real.events(index)
        assert pytest.approx(math.fsum(v for _, v in events), rel=1e-12) == by_feature[index].sum
        assert pytest.approx(math.fsum(v * v for _, v in events), rel=1e-12) == by_feature[index].sum_sq
        documents = {int(corpus.context_document[corpus.context_of_slot[slot]]) for slot, _ in events}
        assert len(documents) == by_feature[index].n_documents_fired


def test_what_fires_on_excluded_positions_is_counted_apart(real: RealRun) -> None:
    sae = load_sae(real.run.spec["sae"]).params
    assert sae.threshold is not None
    dense = (real.acts.astype(np.float64) - sae.b_dec.numpy()) @ sae.W_enc.numpy().astype(np.float64)
    is_sink = real.corpus.cause == 2
    n_fires = (dense[is_sink] > sae.threshold.numpy()).sum(axis=0)
    assert [int(n_fires[index]) for index in CHOSEN] == [real.feature(index)["n_fires_excluded"] for index in CHOSEN]


def test_the_full_token_table(real: RealRun) -> None:
    corpus = real.corpus
    table: dict[tuple[int, int], tuple] = {}
    for name in list_tables(real.plan.folder):
        if name.startswith("tokens-"):
            part = open_table(real.plan.folder, name)
            rows = zip(*(part.read(column).tolist() for column in TOKEN_COLUMNS), strict=True)
            table |= {(row[0], row[1]): row[2:] for row in rows}
    for index in CHOSEN:
        by_token: dict[int, list[tuple[float, bool]]] = {}
        for slot, value in real.events(index):
            document = corpus.context_document[corpus.context_of_slot[slot]]
            is_score = bool(corpus.document_split[document] == 1)
            by_token.setdefault(int(corpus.token_ids[slot]), []).append((value, is_score))
        assert sorted(by_token) == sorted(token for feature, token in table if feature == index)
        for token, rows in by_token.items():
            score = [value for value, is_score in rows if is_score]
            values = [value for value, _ in rows]
            found = table[index, token]
            assert (len(values), len(score), max(values)) == (found[0], found[1], found[4])
            assert pytest.approx((math.fsum(values), math.fsum(score)), rel=1e-12) == (found[2], found[3])


TOKEN_COLUMNS = ("feature_index", "token_id", "n_fires", "n_fires_score_split", "sum", "sum_score_split", "max")


def test_top_tokens_with_their_occurrences(real: RealRun) -> None:
    corpus, pieces = real.corpus, token_bytes(real.model_folder)
    occurrences = Counter(corpus.token_ids[corpus.cause == COUNTED].tolist())
    for index in CHOSEN:
        fires = Counter(int(corpus.token_ids[slot]) for slot, _ in real.events(index))
        shown = real.feature(index)["top_tokens"]
        most_common = sorted(fires, key=lambda token: (-fires[token], token))[:50]
        assert set(most_common) <= {token["token_id"] for token in shown}
        for token in shown:
            number = token["token_id"]
            assert (fires[number], occurrences[number]) == (token["n_fires"], token["n_occurrences"])
            assert fires[number] / occurrences[number] == token["p_fire_given_token"]
            assert fires[number] / fires.total() == token["p_token_given_fire"]
            assert pieces[number].decode(errors="backslashreplace") == token["token"]


def test_strongest_and_uniform_examples(real: RealRun) -> None:
    corpus = real.corpus
    for index in CHOSEN:
        world = real.world(index)
        shown = real.feature(index)["examples"]
        for band, k in (("top", 24), ("uniform", 48)):
            expected = [
                slot
                for split in (0, 1)
                for slot in (
                    statistics.published_top(world, 0, split, SEED, 48, k)
                    if band == "top"
                    else statistics.smallest_keys(world, 0, split, SEED, k)
                )
            ]
            found = [corpus.context_slot[e["context"]] + e["peak"] for e in shown if e["band"] == band]
            assert expected == [int(slot) for slot in found]


def test_examples_hold_the_exact_events_and_repetitions(real: RealRun) -> None:
    corpus = real.corpus
    windows = Counter(statistics.window(corpus, slot) for slot in np.flatnonzero(corpus.cause == COUNTED).tolist())
    for index in CHOSEN:
        events = dict(real.events(index))
        for example in real.feature(index)["examples"]:
            first = int(corpus.context_slot[example["context"]])
            last = first + int(corpus.context_n[example["context"]])
            expected = {slot - first: value for slot, value in events.items() if first <= slot < last}
            assert expected == dict(zip(example["positions"], example["values"], strict=True))
            assert windows[statistics.window(corpus, first + example["peak"])] == example["n_similar"]
            if expected:
                assert max(expected.values()) == example["max_activation"] == expected[example["peak"]]


def test_text_is_the_documents_own_bytes(real: RealRun) -> None:
    corpus, pieces = real.corpus, token_bytes(real.model_folder)
    with real.workbench.store.read() as session:
        where = {"run": real.run.id}
        rows = session.execute(sql("SELECT * FROM contexts WHERE run_id = :run"), where).mappings().all()
    sources = {row["document_index"]: int(row["external_id"][1:]) for row in real.plan.documents()}
    assert len(rows) > 20
    for row in rows:
        first, n = int(corpus.context_slot[row["context_index"]]), int(corpus.context_n[row["context_index"]])
        tokens = [pieces[token] for token in corpus.token_ids[first : first + n].tolist()]
        assert b"".join(tokens) == row["text"]
        assert np.cumsum([len(token) for token in tokens]).tolist() == np.frombuffer(row["ends"], "<u4").tolist()
        document = real.documents[sources[row["document_index"]]].encode()
        before = pieces_before(real, pieces, row["document_index"], row["token_offset"])
        assert row["text"] == document[before : before + len(row["text"])]


def pieces_before(real: RealRun, pieces: list[bytes], document: int, offset: int) -> int:
    """Bytes of a document's tokens before an offset."""
    corpus = real.corpus
    of_document = np.flatnonzero(corpus.context_document == document)
    tokens = [
        t for c in of_document for t in corpus.token_ids[corpus.context_slot[c] :][: corpus.context_n[c]].tolist()
    ]
    return sum(len(pieces[token]) for token in tokens[:offset])


def test_example_texts_show_every_script(real: RealRun) -> None:
    texts = "".join(e["text"] for index in CHOSEN for e in real.feature(index)["examples"])
    for piece in ("👩🏽‍🚀", "القاهرة", "今天天气", "def add(", "<|im_start|>", "Grüße"):
        assert piece in texts


def test_role_tokens_of_a_chat_are_counted(real: RealRun) -> None:
    corpus, pieces = real.corpus, token_bytes(real.model_folder)
    (role,) = [n for n, piece in enumerate(pieces) if piece == b"<|im_start|>"]
    causes = corpus.cause[corpus.token_ids == role].tolist()
    assert CHAT.count("<|im_start|>") == len(causes) == 3
    n_first = int(real.run.spec["sink_norm_ratio"] is not None)  # the first position of the text is a sink
    assert [COUNTED] * (3 - n_first) == [cause for cause in causes if cause == COUNTED]
    with real.workbench.store.read() as session:
        features = list(read_features(session, real.run, range(D_SAE)))
    shown = [token for feature in features for token in feature.top_tokens if token.token_id == role]
    assert {3 - n_first} == {token.n_occurrences for token in shown}


def test_the_products_activations_equal_hidden_states(real: RealRun) -> None:
    spec = real.workbench.spec(sink_norm_ratio=real.run.spec["sink_norm_ratio"])
    plan, model, target = open_for_pass(spec, real.plan.folder)
    corpus = plan.corpus()
    for contexts in plan.batches(1)[:2]:
        rows = lay_out_batch(corpus, contexts, 0)
        acts = model.activations(rows.token_ids, [target.hook_point])[target.hook_point][rows.mask]
        assert np.array_equal(real.acts[rows.slot], acts.numpy())


def test_another_batch_size_changes_hardly_any_event(
    bench: Workbench, default_run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    wide, narrow = default_run, bench.extract(batch_size=5)
    n, n_differing = 0, 0
    for feature in range(D_SAE):
        one, other = (
            {slot for slot, _ in RealRun(bench, run, [], Path(), np.zeros(0)).events(feature)} for run in (wide, narrow)
        )
        n, n_differing = n + len(one), n_differing + len(one ^ other)
    with capsys.disabled():
        print(f"\nbatch size 32 and 5: {n_differing} of {n} events differ, {n_differing / n:.1e}")
    assert n > 10_000
    assert n_differing <= 1e-4 * n
