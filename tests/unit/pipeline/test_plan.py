"""The plan: a pure function of texts, spec and tokenizer, that loses nothing and mixes nothing."""

import numpy as np
import pytest
from tests.builders.plans import (
    Counting,
    all_bytes,
    make_texts,
    plan_of,
    spec_of,
    texts_of,
    write_corpus,
)

from featlas.core.hashing import hash_arrays, hash_bytes
from featlas.core.packing import MIN_BATCH_ROWS
from featlas.domain import Cause, Split
from featlas.pipeline import plan_documents
from featlas.pipeline.plan import load_plan
from featlas.specs import CheckSpec


def test_every_text_is_in_the_plan_once_in_hash_order(corpus_folder, tokenizer, tmp_path):
    plan = plan_of(spec_of(corpus_folder, seed=3), tokenizer, tmp_path / "run")
    texts = make_texts()
    key = np.array([hash_bytes(text.encode()) for text in texts], dtype=np.uint64)
    expected = [texts[i] for i in np.argsort(hash_arrays(3, key))]
    assert texts_of(plan, tokenizer) == expected
    assert [row["metadata"]["n"] for row in plan.documents()] == [len(text) for text in expected]
    assert [row["document_index"] for row in plan.documents()] == list(range(60))
    assert plan.corpus().document_key.tolist() == [hash_bytes(text.encode()) for text in expected]


def test_order_file_keeps_the_files_order(corpus_folder, tokenizer, tmp_path):
    plan = plan_of(spec_of(corpus_folder, order="file"), tokenizer, tmp_path / "run")
    assert texts_of(plan, tokenizer) == make_texts()
    assert [row["source"] for row in plan.documents()][::20] == ["texts/0.jsonl", "texts/1.jsonl", "texts/2.jsonl"]
    assert plan.record["order"] == "file"


def test_packing_loses_nothing(corpus_folder, tokenizer, tmp_path, packing):
    plan = plan_of(spec_of(corpus_folder, packing=packing), tokenizer, tmp_path / "run")
    assert sorted(texts_of(plan, tokenizer)) == sorted(make_texts())


def test_contexts_blocks_and_causes_fit_each_other(corpus_folder, tokenizer, tmp_path, packing):
    plan = plan_of(spec_of(corpus_folder, packing=packing), tokenizer, tmp_path / "run")
    corpus = plan.corpus()
    assert isinstance(corpus.token_ids, np.memmap)
    assert len(corpus.token_ids) == plan.n_blocks * 256
    assert corpus.n_contexts == plan.n_contexts
    slots = np.arange(len(corpus.token_ids))
    expected = np.full(len(slots), plan.n_contexts)
    for c, (slot, n) in enumerate(zip(corpus.context_slot, corpus.context_n, strict=True)):
        assert 1 < n <= 16
        assert slot // 256 == (slot + n - 1) // 256
        assert corpus.cause[slot] == Cause.BOS
        assert corpus.token_ids[slot] == tokenizer.bos_id
        document = plan.document_of_slot(np.arange(slot, slot + n))
        assert corpus.context_document[c] == document[document >= 0][0]
        expected[slot : slot + n] = c
    np.testing.assert_array_equal(expected, corpus.context_of_slot)
    np.testing.assert_array_equal(expected == plan.n_contexts, corpus.cause == Cause.PADDING)
    assert plan.n_tokens == np.sum(corpus.cause == Cause.COUNTED) == plan.arrays["document_n_tokens"].sum()


def test_offsets_are_those_of_the_first_token(corpus_folder, tokenizer, tmp_path, packing):
    plan = plan_of(spec_of(corpus_folder, packing=packing), tokenizer, tmp_path / "run")
    corpus = plan.corpus()
    document = plan.document_of_slot(np.arange(len(corpus.token_ids)))
    for c in range(plan.n_contexts):
        slot = corpus.context_slot[c] + 1
        before = np.sum((document == corpus.context_document[c]) & (np.arange(len(document)) < slot))
        assert corpus.context_token_offset[c] == before


def test_packed_contexts_are_full_and_never_mix_splits(corpus_folder, tokenizer, tmp_path):
    plan = plan_of(spec_of(corpus_folder, packing="packed"), tokenizer, tmp_path / "run")
    corpus = plan.corpus()
    assert np.sum(corpus.context_n != 16) <= 2, "one rest per split"
    document = plan.document_of_slot(np.arange(len(corpus.token_ids)))
    is_text = document >= 0
    own = corpus.document_split[document[is_text]]
    of_context = corpus.document_split[corpus.context_document[corpus.context_of_slot[is_text]]]
    np.testing.assert_array_equal(own, of_context)
    assert set(own) == {Split.LABEL, Split.SCORE}


def test_without_bos_every_slot_is_text_or_gap(corpus_folder, tokenizer, tmp_path, packing):
    plan = plan_of(spec_of(corpus_folder, packing=packing), tokenizer, tmp_path / "run", prepend_bos=False)
    assert set(np.unique(plan.corpus().cause)) == {Cause.COUNTED, Cause.PADDING}
    assert not plan.prepend_bos
    assert sorted(texts_of(plan, tokenizer)) == sorted(make_texts())


# The first N positions


@pytest.mark.parametrize("order", ["hash", "file"])
@pytest.mark.parametrize("n", [1, 14, 15, 16, 700, 1500])
def test_n_positions_end_with_the_context_that_has_the_nth(corpus_folder, tokenizer, tmp_path, packing, order, n):
    whole = plan_of(spec_of(corpus_folder, packing=packing, order=order), tokenizer, tmp_path / "whole").corpus()
    plan = plan_of(spec_of(corpus_folder, packing=packing, order=order, tokens=n), tokenizer, tmp_path / "part")
    part = plan.corpus()
    n_positions = int(np.sum(part.context_n))
    assert n <= n_positions < n + part.context_n[-1]
    assert n_positions == plan.n_tokens + np.sum(part.cause == Cause.BOS)
    n_slots = int(part.context_slot[-1] + part.context_n[-1])
    for name in ("token_ids", "cause"):
        np.testing.assert_array_equal(getattr(whole, name)[:n_slots], getattr(part, name)[:n_slots])
    for name in ("context_slot", "context_n", "context_document", "context_token_offset"):
        np.testing.assert_array_equal(getattr(whole, name)[: plan.n_contexts], getattr(part, name))
    for name in ("document_split", "document_group", "document_key"):
        np.testing.assert_array_equal(getattr(whole, name)[: plan.n_documents], getattr(part, name))
    assert len(list(plan.documents())) == plan.n_documents == part.context_document.max() + 1 or packing == "packed"


def test_more_tokens_than_there_are_is_the_whole_corpus(corpus_folder, tokenizer, tmp_path, packing):
    whole = plan_of(spec_of(corpus_folder, packing=packing), tokenizer, tmp_path / "whole")
    asked = plan_of(spec_of(corpus_folder, packing=packing, tokens=10**9), tokenizer, tmp_path / "asked")
    assert all_bytes(whole) == all_bytes(asked)


def test_few_tokens_of_a_large_corpus_tokenise_few_documents(tokenizer, tmp_path):
    texts = make_texts(3000)
    counting = Counting(tokenizer)
    plan_of(spec_of(write_corpus(tmp_path / "texts", texts), tokens=2000), counting, tmp_path / "run")
    assert counting.n_characters < 0.1 * sum(map(len, texts))


def test_too_low_a_cutoff_is_extended(tokenizer, tmp_path, monkeypatch):
    folder = write_corpus(tmp_path / "texts", make_texts(300))
    expected = plan_of(spec_of(folder, tokens=3000), tokenizer, tmp_path / "a")
    monkeypatch.setattr(plan_documents, "_TOKENS_PER_BYTE", 20.0)
    counting = Counting(tokenizer)
    extended = plan_of(spec_of(folder, tokens=3000), counting, tmp_path / "b")
    assert all_bytes(expected) == all_bytes(extended)
    assert counting.n_characters < 30_000


# Same plan, other plan


def test_the_same_texts_give_the_same_files(corpus_folder, tokenizer, tmp_path, packing):
    plans = [plan_of(spec_of(corpus_folder, packing=packing), tokenizer, tmp_path / name) for name in "ab"]
    assert all_bytes(plans[0]) == all_bytes(plans[1])
    assert plans[0].record == plans[1].record


def test_hash_order_does_not_depend_on_the_files(tokenizer, tmp_path):
    texts = make_texts()
    plans = [
        plan_of(spec_of(write_corpus(tmp_path / name, order, n_files)), tokenizer, tmp_path / f"run-{name}")
        for name, order, n_files in [("one", texts, 1), ("many", texts[::-1], 7)]
    ]
    assert plans[0].corpus_fingerprint == plans[1].corpus_fingerprint
    np.testing.assert_array_equal(plans[0].corpus().token_ids, plans[1].corpus().token_ids)


def test_the_fingerprint_follows_tokens_bounds_and_splits(tokenizer, tmp_path):
    def fingerprint(texts, **fields):
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        spec = spec_of(write_corpus(folder / "texts", texts, 1), order="file", **fields)
        return plan_of(spec, tokenizer, folder / "run").corpus_fingerprint

    texts = make_texts(20)
    first = fingerprint(texts)
    assert fingerprint(texts) == first
    assert fingerprint(texts, ctx_len=32, block_slots=512) == first, "how it is cut does not matter"
    assert fingerprint([texts[0] + texts[1], *texts[2:]]) != first
    assert fingerprint([*texts[:-1], texts[-1] + "x"]) != first
    assert fingerprint(texts, seed=1) != first, "other splits"


def test_a_seed_changes_order_and_splits(corpus_folder, tokenizer, tmp_path):
    plans = [plan_of(spec_of(corpus_folder, seed=seed), tokenizer, tmp_path / f"{seed}") for seed in (0, 1)]
    assert texts_of(plans[0], tokenizer) != texts_of(plans[1], tokenizer)
    splits = [
        dict(zip(p.corpus().document_key.tolist(), p.corpus().document_split.tolist(), strict=True)) for p in plans
    ]
    assert splits[0].keys() == splits[1].keys()
    assert splits[0] != splits[1]


# Batches


def test_batches_cover_each_block_once_longest_first(corpus_folder, tokenizer, tmp_path):
    plan = plan_of(spec_of(corpus_folder, batch_size=5, block_slots=1024), tokenizer, tmp_path / "run")
    corpus = plan.corpus()
    seen = []
    for block in range(plan.n_blocks):
        batches = plan.batches(block)
        contexts = np.concatenate(batches)
        assert set(corpus.context_slot[contexts] // 1024) == {block}
        n = corpus.context_n[contexts]
        assert np.all(np.diff(n) <= 0)
        assert all(corpus.context_n[batch].sum() >= min(MIN_BATCH_ROWS, n.sum()) for batch in batches)
        seen += contexts.tolist()
    assert sorted(seen) == list(range(plan.n_contexts))


def test_a_loaded_plan_is_the_plan(corpus_folder, tokenizer, tmp_path):
    made = plan_of(spec_of(corpus_folder), tokenizer, tmp_path / "run")
    loaded = load_plan(tmp_path / "run")
    assert made.record == loaded.record
    assert [b.tolist() for b in made.batches(1)] == [b.tolist() for b in loaded.batches(1)]
    assert (loaded.seed, loaded.block_slots) == (0, 256)
    assert loaded.record["tokenizer_fingerprint"] == loaded.tokenizer_fingerprint == tokenizer.fingerprint
    assert loaded.record["spec"] == spec_of(corpus_folder).model_dump(mode="json")
    assert loaded.corpus().n_vocab == tokenizer.n_vocab


def test_a_check_is_planned_too(corpus_folder, tokenizer, tmp_path):
    spec = CheckSpec(text=(corpus_folder,), model="m", sae="s", tokens=500, ctx_len=16)
    assert 500 <= int(np.sum(plan_of(spec, tokenizer, tmp_path / "run").corpus().context_n)) < 516
