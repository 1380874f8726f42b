import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, text, update
from tests.builders.stored_runs import make_run, publish_run, register_inputs

from featlas.errors import InputError, NotFoundError
from featlas.store.search import find_text, find_token, find_token_text
from featlas.store.session import Store
from featlas.store.tables import FeatureStateRow, label_search_text

WORDS = st.text(alphabet="abAB éÉßẞİıσς%_\\\"'*-\n汉😀", max_size=8)


def label(store: Store, sae_id: int, labels: dict[int, tuple[str | None, str | None]]) -> None:
    with store.write() as session:
        session.execute(delete(FeatureStateRow))
        for index, (semantic, category) in labels.items():
            session.add(
                FeatureStateRow(sae_id=sae_id, feature_index=index, semantic_label=semantic, category_label=category)
            )


def find(store: Store, sae_id: int, wanted: str) -> list[int]:
    with store.read() as session:
        return find_text(session, sae_id, wanted).tolist()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(labels=st.lists(st.tuples(st.none() | WORDS, st.none() | WORDS), max_size=5), wanted=WORDS.filter(bool))
def test_text_is_found_where_a_case_folded_label_contains_it(store: Store, labels: list, wanted: str):
    inputs = register_inputs(store)
    label(store, inputs.sae_id, dict(enumerate(labels)))
    expected = [
        index
        for index, both in enumerate(labels)
        if any(wanted.casefold() in part.casefold() for part in both if part is not None)
    ]
    assert find(store, inputs.sae_id, wanted) == expected
    for part in (p for both in labels for p in both if p):
        assert find(store, inputs.sae_id, part), part


def test_the_two_labels_of_a_feature_are_not_one_text(store: Store):
    inputs = register_inputs(store)
    label(store, inputs.sae_id, {0: ("court", "law"), 1: (None, "courtlaw")})
    assert find(store, inputs.sae_id, "courtlaw") == [1]
    assert find(store, inputs.sae_id, "tl") == [1]
    assert find(store, inputs.sae_id, "court\x1flaw") == []


def test_only_the_labels_of_this_sae_are_searched(store: Store):
    one, two = register_inputs(store), register_inputs(store, mark="2")
    label(store, one.sae_id, {0: ("legal court", None)})
    with store.write() as session:
        session.add(FeatureStateRow(sae_id=two.sae_id, feature_index=2**31 - 1, semantic_label="Courtyard"))
    assert find(store, one.sae_id, "court") == [0]
    assert find(store, two.sae_id, "court") == [2**31 - 1]
    assert find(store, two.sae_id, "co") == [2**31 - 1]


def test_the_index_follows_changes_and_deletions(store: Store):
    inputs = register_inputs(store)
    label(store, inputs.sae_id, {0: ("legal court", None), 1: ("court of appeal", None)})
    with store.write() as session:
        session.get_one(FeatureStateRow, (inputs.sae_id, 0)).semantic_label = "tennis"
    assert find(store, inputs.sae_id, "court") == [1]
    assert find(store, inputs.sae_id, "tennis") == [0]
    with store.write() as session:
        session.get_one(FeatureStateRow, (inputs.sae_id, 0)).semantic_label = None
        session.execute(delete(FeatureStateRow).where(FeatureStateRow.feature_index == 1))
    assert find(store, inputs.sae_id, "court") == []
    assert find(store, inputs.sae_id, "tennis") == []


def test_bulk_writers_fill_the_search_text_themselves(store: Store):
    inputs = register_inputs(store)
    label(store, inputs.sae_id, {0: (None, None)})
    with store.write() as session:
        values = {"semantic_label": "Straße", "search_text": label_search_text("Straße", None)}
        session.execute(update(FeatureStateRow).values(values))
    assert find(store, inputs.sae_id, "STRASSE") == [0]


def test_an_empty_search_is_refused(store: Store):
    with store.read() as session, pytest.raises(InputError, match="empty text"):
        find_text(session, 1, "")


def test_the_trigram_index_answers(store: Store, dialect: str):
    """Not only right but indexed: the plan names the index on both databases."""
    inputs = register_inputs(store)
    label(store, inputs.sae_id, {0: ("legal court", None)})
    with store.write() as session:
        if dialect == "sqlite":
            rows = session.execute(
                text("EXPLAIN QUERY PLAN SELECT rowid FROM feature_text WHERE feature_text MATCH 'x'")
            )
            assert "VIRTUAL TABLE INDEX" in str(rows.all())
            return
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_indexscan = off"))
        plan = session.execute(
            text("EXPLAIN SELECT feature_index FROM feature_state WHERE search_text LIKE '%court%'")
        ).all()
        assert "ix_feature_state_search_text_trgm" in str(plan)


def test_a_token_is_found_by_its_exact_bytes(store: Store):
    run = make_run(store, register_inputs(store))
    snapshot_id = publish_run(store, run).snapshot_id
    with store.read() as session:
        assert find_token(session, snapshot_id, b" court").tolist() == [0, 2, 3, 4, 5]
        assert find_token(session, snapshot_id, b"\x00").tolist() == [0, 2, 3, 4, 5]
        for absent in (b"court", b" Court", b"the", b"", b"no such token"):
            assert find_token(session, snapshot_id, absent).tolist() == []
        found = find_token(session, snapshot_id, b" caf\xc3")
    assert found.dtype == np.int64


def test_tokens_are_found_by_a_part_of_what_is_shown(store: Store):
    run = make_run(store, register_inputs(store))
    snapshot_id = publish_run(store, run).snapshot_id
    with store.read() as session:
        assert find_token_text(session, snapshot_id, "COUR").tolist() == [0, 2, 3, 4, 5]
        assert find_token_text(session, snapshot_id, "the").tolist() == []


def test_tokens_of_an_unknown_snapshot_are_not_found(store: Store):
    with store.read() as session, pytest.raises(NotFoundError, match="there is no snapshot 9"):
        find_token(session, 9, b"x")
