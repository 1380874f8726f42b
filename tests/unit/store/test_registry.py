import threading

import numpy as np
import pytest
from sqlalchemy import exc, select
from tests.builders.stored_runs import TOKENS, register_inputs

from featlas.domain import SaeOrigin, Split
from featlas.errors import InputError
from featlas.store.registry import (
    CorpusFacts,
    DocumentFacts,
    ModelFacts,
    SaeFacts,
    add_documents,
    register_corpus,
    register_model,
    register_sae,
    register_tokenizer,
)
from featlas.store.session import Store
from featlas.store.tables import DocumentRow, ModelRow, SaeRow, TokenizerRow


def test_registering_again_gives_the_same_ids_and_adds_nothing(store: Store):
    assert register_inputs(store) == register_inputs(store)
    with store.read() as session:
        assert len(session.scalars(select(ModelRow)).all()) == 1
        assert len(session.scalars(select(DocumentRow)).all()) == 3


def test_other_fingerprints_get_other_ids(store: Store):
    first, second = register_inputs(store), register_inputs(store, mark="2")
    assert first.model_id != second.model_id
    assert first.sae_id != second.sae_id
    assert first.corpus_id != second.corpus_id
    assert first.tokenizer_id == second.tokenizer_id


def test_a_tokenizer_is_kept_as_bytes(store: Store):
    tokenizer_id = register_tokenizer(store, "t", TOKENS, np.array([0]))  # type: ignore[arg-type]
    with store.read() as session:
        row = session.get_one(TokenizerRow, tokenizer_id)
        ends = np.frombuffer(row.ends, "<u4")
        assert [row.bytes[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)] == TOKENS
        assert (row.n_vocab, row.special_ids) == (len(TOKENS), [0])


def test_a_tokenizer_without_tokens_is_refused(store: Store):
    with pytest.raises(InputError, match="without tokens"):
        register_tokenizer(store, "t", [])


def test_what_is_known_of_a_model_and_an_sae_is_kept(store: Store):
    tokenizer_id = register_tokenizer(store, "t", TOKENS)
    config = {"scale": float("nan"), "name": "nul \0", "ids": np.arange(2)}
    model_id = register_model(store, ModelFacts("m", "tiny", tokenizer_id, 8, 2, "files", "main", config))
    sae_id = register_sae(
        store, SaeFacts("s", "mine", "topk", 8, 16, 8, "blocks.1.hook_resid_post", "saelens", SaeOrigin.TRAINED)
    )
    with store.read() as session:
        model, sae = session.get_one(ModelRow, model_id), session.get_one(SaeRow, sae_id)
        assert model.config == {"scale": None, "name": r"nul \x00", "ids": [0, 1]}
        assert (model.source, model.revision, model.n_layers) == ("files", "main", 2)
        assert (sae.origin, sae.d_sae, sae.format) == (SaeOrigin.TRAINED, 16, "saelens")


def test_documents_are_added_once_whatever_the_overlap(store: Store):
    corpus_id = register_corpus(store, CorpusFacts("c", "texts", 5000, 1))
    rows = [DocumentFacts(at, "a.txt", str(at), Split.SCORE, {"topic": f"é{at}"}) for at in range(5000)]
    assert add_documents(store, corpus_id, rows[1000:3000]) == 2000
    assert add_documents(store, corpus_id, iter(rows)) == 3000
    with store.read() as session:
        found = session.scalars(select(DocumentRow).order_by(DocumentRow.document_index)).all()
        assert [row.document_index for row in found] == list(range(5000))
        assert {row.split for row in found} == {1}
        assert found[7].document_metadata == {"topic": "é7"}
        assert found[7].external_id == "7"


def test_two_runs_may_add_the_documents_of_one_corpus_at_once(store: Store):
    corpus_id = register_corpus(store, CorpusFacts("c", "texts", 3, 1))
    rows = [DocumentFacts(at, "a.txt", str(at), Split.LABEL) for at in range(3)]
    added: list[int] = []
    second = threading.Thread(target=lambda: added.append(add_documents(store, corpus_id, rows)))
    with store.write() as session:
        columns = {"source": "a.txt", "external_id": "1", "document_metadata": {}, "split": 0}
        session.add(DocumentRow(corpus_id=corpus_id, document_index=1, **columns))
        session.flush()
        second.start()
        second.join(0.5)
        assert added == []  # it waits for us
    second.join()
    assert added == [2]


def test_documents_with_characters_that_databases_refuse_are_kept_readable(store: Store):
    corpus_id = register_corpus(store, CorpusFacts("c", "texts", 1, 1))
    odd = DocumentFacts(
        0, "bad\udcff.txt", "id\0", Split.LABEL, {"k\0": "v\0\ud800", "n": float("nan"), "tab": "\t\\N"}
    )
    assert add_documents(store, corpus_id, [odd]) == 1
    with store.read() as session:
        row = session.scalars(select(DocumentRow)).one()
        assert (row.source, row.external_id) == (r"bad\udcff.txt", r"id\x00")
        assert row.document_metadata == {r"k\x00": r"v\x00\ud800", "n": None, "tab": "\t\\N"}


def test_documents_of_an_unknown_corpus_are_refused(store: Store):
    with pytest.raises(exc.IntegrityError):
        add_documents(store, 77, [DocumentFacts(0, "a", "b", Split.LABEL)])
    with store.read() as session:
        assert session.scalars(select(DocumentRow)).all() == []
