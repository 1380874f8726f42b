"""Which documents a plan has: their sides, groups and order, whatever form they come in."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.builders.plans import (
    assert_nothing_left,
    make_texts,
    plan_of,
    spec_of,
    texts_of,
    write_corpus,
)

from featlas.domain import Cause, Split
from featlas.errors import InputError
from featlas.pipeline.plan_documents import normalise, shuffle
from featlas.sources.texts import Document

# Splits and groups


def test_a_quarter_is_scored_and_groups_are_even(tokenizer, tmp_path):
    folder = write_corpus(tmp_path / "texts", [f"the cat {i}" for i in range(4000)])
    corpus = plan_of(spec_of(folder), tokenizer, tmp_path / "run").corpus()
    assert 0.22 < np.mean(corpus.document_split == Split.SCORE) < 0.28
    table = np.zeros((2, 16))
    np.add.at(table, (corpus.document_split, corpus.document_group), 1)
    assert table[Split.LABEL].min() > 130
    assert table[Split.SCORE].min() > 35, "groups say nothing about the split"


@pytest.mark.parametrize(
    "twin",
    [
        "The  Cat\n sat on the MAT, Straße",
        "the cat sat on the mat, strasse",
        "\tthe cat sat on the ｍａｔ, straße ",
        "THE CAT SAT ON THE MAT, STRASSE",
    ],
)
def test_the_same_text_up_to_case_and_spaces_is_on_one_side(twin):
    assert normalise(twin) == "the cat sat on the mat, strasse"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(st.lists(st.text("aBc ", min_size=1, max_size=6), min_size=2, max_size=30))
def test_duplicates_share_split_and_group(tokenizer, tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("twins")
    texts = [*texts, *(text.upper() for text in texts), *(f" {text}\n" for text in texts)]
    plan = plan_of(spec_of(write_corpus(folder / "texts", texts)), tokenizer, folder / "run")
    corpus = plan.corpus()
    sides: dict[str, set] = {}
    for text, split, group in zip(texts_of(plan, tokenizer), corpus.document_split, corpus.document_group, strict=True):
        sides.setdefault(normalise(text), set()).add((int(split), int(group)))
    assert all(len(side) == 1 for side in sides.values())
    assert [row["split"] for row in plan.documents()] == corpus.document_split.tolist()


# Sets that are already tokenised


def write_tokenised(path: Path, rows) -> str:
    path.write_text("".join(json.dumps({"tokens": list(map(int, row))}) + "\n" for row in rows))
    return str(path)


def test_ready_token_ids_are_planned_as_their_text_would_be(tokenizer, tmp_path, packing):
    texts = make_texts()
    ready = write_tokenised(tmp_path / "a.jsonl", tokenizer.encode_batch(texts))
    plans = [
        plan_of(spec_of(text, packing=packing, order="file"), tokenizer, tmp_path / f"run{n}")
        for n, text in enumerate([ready, write_corpus(tmp_path / "texts", texts)])
    ]
    assert plans[0].corpus_fingerprint == plans[1].corpus_fingerprint
    np.testing.assert_array_equal(plans[0].corpus().document_group, plans[1].corpus().document_group)
    assert sorted(texts_of(plans[0], tokenizer)) == sorted(texts)


def test_a_bos_that_ready_ids_bring_along_is_not_doubled(tokenizer, tmp_path):
    path = write_tokenised(tmp_path / "a.jsonl", [[tokenizer.bos_id, *range(10, 25)]])
    with_bos = plan_of(spec_of(path), tokenizer, tmp_path / "with").corpus()
    assert with_bos.token_ids[:16].tolist() == [tokenizer.bos_id, *range(10, 25)]
    assert with_bos.cause[:16].tolist() == [Cause.BOS, *[Cause.COUNTED] * 15]
    assert with_bos.n_contexts == 1
    without = plan_of(spec_of(path), tokenizer, tmp_path / "without", prepend_bos=False).corpus()
    assert without.cause[:16].tolist() == [Cause.COUNTED] * 16, "then it is the text's own"


def test_ids_of_another_model_are_refused(tokenizer, tmp_path):
    path = write_tokenised(tmp_path / "a.jsonl", [[1], [2, tokenizer.n_vocab]])
    for fields in ({}, {"order": "file"}, {"tokens": 100}):
        with pytest.raises(InputError, match=rf"a\.jsonl, row 2: token id {tokenizer.n_vocab}, but the model has"):
            plan_of(spec_of(path, **fields), tokenizer, tmp_path / "run")
        assert_nothing_left(tmp_path / "run")


# Streams


def test_a_streamed_set_is_shuffled_and_says_so(corpus_folder, tokenizer, tmp_path):
    hub = f"hf:{corpus_folder}"
    plan = plan_of(spec_of(hub), tokenizer, tmp_path / "run")
    assert plan.record["order"] == "shuffle buffer of 10000 documents"
    assert texts_of(plan, tokenizer) != make_texts()
    assert sorted(texts_of(plan, tokenizer)) == sorted(make_texts())
    assert texts_of(plan_of(spec_of(hub, order="file"), tokenizer, tmp_path / "file"), tokenizer) == make_texts()


@given(st.integers(0, 60), st.integers(1, 20), st.integers(0, 5))
def test_a_shuffle_keeps_every_document_and_is_seeded(n, size, seed):
    documents = [Document(str(i), None, "", None) for i in range(n)]
    runs = [[int(d.text or "") for d in shuffle(documents, s, size)] for s in (seed, seed, seed + 1)]
    assert sorted(runs[0]) == list(range(n))
    assert runs[0] == runs[1]
    # A document can come early by the size of the buffer at most.
    assert all(place >= i - size for place, i in enumerate(runs[0]))


def test_a_shuffle_mixes():
    documents = [Document(str(i), None, "", None) for i in range(2000)]
    order = [int(d.text or "") for d in shuffle(documents, 0, 1000)]
    assert np.mean(order[:500]) > 400
    assert np.corrcoef(order[:1000], np.arange(1000))[0, 1] < 0.9
