"""Queries over a stored snapshot, on both databases: every operator against a plain Python filter; pages; freshness."""

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session
from tests.oracles import query_filter
from tests.oracles.query_filter import Feature

from featlas.domain import FeatureFlag
from featlas.errors import InputError, NotFoundError
from featlas.query import HAS, STATES, Query, QueryError, SortKey, parse_query, print_query
from featlas.query.tree import And, Between, Category, Compare, Has, Is, Node, Not, Operator, Or, Text, Token
from featlas.store import search
from featlas.store.column_cache import ColumnCache
from featlas.store.listing import select_features
from featlas.store.paging import Cursor
from featlas.store.session import Store
from featlas.store.tables import (
    CorpusRow,
    FeatureColumnRow,
    FeatureStateRow,
    FeatureTokenRow,
    LabelRow,
    ModelRow,
    PromptTemplateRow,
    PromptTemplateVersionRow,
    RunRow,
    SaeRow,
    SnapshotRow,
    TokenizerRow,
)

N, N_NULL = 70, 8
DTYPES = {
    "n_fires": "<i8",
    "activation_frequency": "<f8",
    "mean_activation": "<f4",
    "max_activation": "<f4",
    "n_contexts_fired": "<u4",
    "x": "<f4",
    "neighbour": "<i4",
}
FIELDS = [*DTYPES, "feature_index", "score"]
WORDS = ["Court", "of", "LAW", "straße", "Éclair", "naïve", "法律", "100%", "snake_case", 'say "hi"', "a\\b", "ﬁne"]
CATEGORIES = [
    "Language",
    "Language > Syntax",
    "language >Syntax> Commas",
    "Languages > Syntax",
    "Domain > Law",
    "法 > 律",
]
VOCABULARY = [b" court", b"court", b"\n", b"\xc3", b"\x00", b'"', "é".encode(), b"court"]
QUICK = settings(max_examples=150, deadline=None)


def _number(chance: random.Random, dtype: str) -> float | int | None:
    if chance.random() < 0.15 and dtype not in {"<u4", "<i8"}:
        return None
    if dtype[1] == "f":
        return float(np.dtype(dtype).type(chance.choice([0.0, -0.0, 0.1, 1e-5, 2.5, -3.25, chance.uniform(-5, 5)])))
    return chance.choice([0, 1, 2, 5, 1000])


def made_features() -> list[Feature]:
    """Features with many ties and gaps; the last are null features, of which nobody says anything."""
    chance = random.Random(7)
    features = []
    for index in range(N):
        feature = Feature(index, {name: _number(chance, dtype) for name, dtype in DTYPES.items()})
        feature.numbers["score"] = None
        feature.flags = {name for name in ("dead", "dense", "sink_only", "duplicate") if chance.random() < 0.2}
        feature.tokens = {token for token in VOCABULARY if chance.random() < 0.2}
        if index >= N - N_NULL:
            feature.flags.add("null")
        elif chance.random() < 0.8:
            _say_something(chance, feature)
        features.append(feature)
    return features


def _say_something(chance: random.Random, feature: Feature) -> None:
    if chance.random() < 0.7:
        feature.semantic_label = " ".join(chance.sample(WORDS, 2))
        feature.source = chance.choice(["human", "llm", "rule", "lexical", "imported"])
    feature.category_label = chance.choice([None, *CATEGORIES])
    feature.review = chance.choice(["unreviewed", "accepted", "rejected"])
    feature.lint = chance.choice([[], [], ["echo"]])
    feature.is_favorite = chance.random() < 0.3
    feature.is_stale = feature.semantic_label is not None and chance.random() < 0.4
    feature.is_failed = not feature.is_stale and chance.random() < 0.3
    feature.numbers["score"] = chance.choice([None, 0.0, 0.5, 0.8, 1.0])


def state_row(sae_id: int, feature: Feature, rev: int) -> FeatureStateRow:
    return FeatureStateRow(
        sae_id=sae_id,
        feature_index=feature.feature_index,
        semantic_label=feature.semantic_label,
        category_label=feature.category_label,
        label_source=feature.source,
        review_state=feature.review,
        lint_flags=feature.lint,
        is_favorite=feature.is_favorite,
        score=feature.numbers["score"],
        rev=rev,
    )


def save_answers(session: Session, sae_id: int, features: list[Feature]) -> None:
    """Labels asked for in an older and in the newest wording of a template, and failures before and after labels."""
    template = PromptTemplateRow(uid="t", name="t")
    session.add(template)
    session.flush()
    versions = [
        PromptTemplateVersionRow(
            template_id=template.id, version=n, content_hash=str(n), system_text="", user_text="", settings={}
        )
        for n in (1, 2)
    ]
    session.add_all(versions)
    session.flush()

    def answer(feature: Feature, status: str, version: int) -> LabelRow:
        row = LabelRow(uid=f"{feature.feature_index} {status} {version}", sae_id=sae_id, status=status, source="llm")
        row.feature_index, row.template_version_id = feature.feature_index, versions[version].id
        session.add(row)
        session.flush()
        return row

    for feature in features:
        if feature.semantic_label is not None:
            answer(feature, "failed", 0)
            current = answer(feature, "labeled", 0 if feature.is_stale else 1)
            session.execute(
                update(FeatureStateRow)
                .where(FeatureStateRow.sae_id == sae_id, FeatureStateRow.feature_index == feature.feature_index)
                .values(current_label_id=current.id)
            )
        if feature.is_failed:
            answer(feature, "failed", 1)


def save_run(session: Session, name: str) -> RunRow:
    ends = np.cumsum([len(token) for token in VOCABULARY]).astype("<u4").tobytes()
    tokenizer = TokenizerRow(
        fingerprint=name, n_vocab=len(VOCABULARY), bytes=b"".join(VOCABULARY), ends=ends, special_ids=[]
    )
    session.add(tokenizer)
    session.flush()
    known = {"uid": name, "name": name, "fingerprint": name, "source": "", "revision": "", "config": {}}
    model = ModelRow(**known, tokenizer_id=tokenizer.id, d_model=2, n_layers=1)
    sae = SaeRow(
        **known, origin="trained", format="f", architecture="topk", d_in=2, d_sae=N - N_NULL, d_out=2, hook_point="h"
    )
    corpus = CorpusRow(uid=name, name=name, fingerprint=name, n_documents=1, n_tokens=1)
    session.add_all([model, sae, corpus])
    session.flush()
    run = RunRow(uid=name, name=name, model_id=model.id, sae_id=sae.id, corpus_id=corpus.id, spec={}, spec_hash="")
    run.recipe = {}
    session.add(run)
    session.flush()
    return run


def save_snapshot(session: Session, run: RunRow, features: list[Feature], **row: Any) -> int:
    counts = {"n_documents": 1, "n_contexts": 1, "n_positions": 1, "n_tokens": 1, "n_excluded": {}}
    snapshot = SnapshotRow(
        run_id=run.id, seq=1, is_partial=False, n_features=len(features), histogram_edges=b"", **counts, **row
    )
    session.add(snapshot)
    session.flush()
    columns = {
        name: np.array([_stored(f.numbers[name], dtype) for f in features], dtype) for name, dtype in DTYPES.items()
    }
    bits = [sum(FeatureFlag[name.upper()] for name in f.flags) for f in features]
    columns["flags"] = np.array(bits, "<u4")
    for name, values in columns.items():
        row_of = FeatureColumnRow(snapshot_id=snapshot.id, name=name, dtype=values.dtype.str, data=values.tobytes())
        session.add(row_of)
    for feature in features:
        for token_id in [i for i, token in enumerate(VOCABULARY) if token in feature.tokens]:
            count = {"n_fires": 1, "n_fires_score_split": 0, "sum": 1.0, "max": 1.0}
            key = {"snapshot_id": snapshot.id, "feature_index": feature.feature_index, "token_id": token_id}
            session.add(FeatureTokenRow(**key, **count))
    return snapshot.id


def _stored(value: float | int | None, dtype: str) -> float | int:
    if value is None:
        return -1 if dtype[1] == "i" else float("nan")
    return value


@dataclasses.dataclass
class World:
    store: Store
    features: list[Feature]
    run_id: int
    sae_id: int
    snapshot_id: int


@pytest.fixture
def world(store: Store) -> World:
    features = made_features()
    with store.write() as session:
        save_run(session, "other")
        run = save_run(session, "run")
        snapshot_id = save_snapshot(session, run, features)
        rev = 0
        for feature in features:
            if feature.semantic_label or feature.category_label or feature.lint or feature.is_favorite:
                rev += 1
                session.add(state_row(run.sae_id, feature, rev))
            else:
                feature.review, feature.numbers["score"] = "unreviewed", None
        session.add(state_row(run.sae_id - 1, dataclasses.replace(features[0], semantic_label="Court"), 1000))
        save_answers(session, run.sae_id, features)
        return World(store, features, run.id, run.sae_id, snapshot_id)


def _terms() -> st.SearchStrategy[Node]:
    stored = made_features()
    numbers: dict[str, list[Any]] = {
        name: sorted({value for f in stored if (value := f.numbers[name]) is not None}) for name in DTYPES
    }
    numbers |= {"feature_index": list(range(-1, N + 1)), "score": [0.0, 0.5, 0.8, 0.9, 1.0]}

    def near(name: str) -> st.SearchStrategy[float]:
        return st.sampled_from([float(value) for value in numbers[name]]) | st.floats(-6, 6)

    fields = st.sampled_from(FIELDS)
    compare = fields.flatmap(lambda name: st.builds(Compare, st.just(name), st.sampled_from(Operator), near(name)))
    between = fields.flatmap(
        lambda name: st.tuples(near(name), near(name)).map(lambda ends: Between(name, min(ends), max(ends)))
    )
    open_ended = fields.flatmap(
        lambda name: near(name).flatmap(
            lambda end: st.sampled_from([Between(name, end, None), Between(name, None, end)])
        )
    )
    parts = [
        label[a:b] for label in [*WORDS, "court of", *CATEGORIES] for a in (0, 1) for b in (2, 4, 20) if label[a:b]
    ]
    paths = [tuple(step.strip() for step in label.split(">"))[:n] for label in CATEGORIES for n in (1, 2, 3)]
    return st.one_of(
        compare,
        between,
        open_ended,
        st.sampled_from(parts).flatmap(lambda part: st.sampled_from([part, part.upper(), part.casefold()])).map(Text),
        st.sampled_from(["STRASSE", "fine", "éclair", "%", "_", "nothing", "\x1f", "w court"]).map(Text),
        st.sampled_from([*VOCABULARY, b"cour", b"COURT", b"nothing"]).map(Token),
        st.sampled_from([*paths, ("LANGUAGE", "syntax"), ("Lang",), ("Syntax",)]).map(Category),
        st.sampled_from(sorted(STATES)).map(Is),
        st.sampled_from([*HAS, *FIELDS]).map(Has),
    )


NODES: st.SearchStrategy[Node] = st.recursive(
    _terms(),
    lambda nodes: st.one_of(
        nodes.map(Not),
        st.lists(nodes, min_size=2, max_size=3).map(lambda clauses: And(tuple(clauses))),
        st.lists(nodes, min_size=2, max_size=3).map(lambda clauses: Or(tuple(clauses))),
    ),
    max_leaves=5,
)
SORTS = st.lists(
    st.builds(SortKey, st.sampled_from(FIELDS), st.booleans()), max_size=3, unique_by=lambda key: key.field
)
QUERIES = st.builds(Query, st.none() | NODES, SORTS.map(tuple))


def test_every_operator_finds_what_a_plain_filter_finds(world: World) -> None:
    cache = ColumnCache()

    @QUICK
    @given(QUERIES)
    def check(query: Query) -> None:
        text = print_query(query)
        with world.store.read() as session:
            found = select_features(session, cache, world.snapshot_id, text)
        assert query_filter.matches(world.features, query) == found.matches.tolist()
        assert query_filter.ordered(world.features, query) == found.order().tolist()

    check()


def test_each_term_alone_finds_what_a_plain_filter_finds(world: World) -> None:
    cache = ColumnCache()
    n_found = []

    @QUICK
    @given(_terms())
    def check(term: Node) -> None:
        with world.store.read() as session:
            found = select_features(session, cache, world.snapshot_id, print_query(Query(term))).matches.tolist()
        assert query_filter.matches(world.features, Query(term)) == found
        n_found.append(len(found))

    check()
    assert sum(0 < n < N - N_NULL for n in n_found) > len(n_found) / 3  # or the test would prove little


def _every_term() -> Iterator[Node]:
    """Each operator on each field at its ends, in its middle and beyond; each state, thing to have, token and label."""
    stored = made_features()
    for name in FIELDS:
        values = sorted(v for f in stored if (v := query_filter.number(f, name)) is not None)
        low, middle, high = float(values[0]), float(values[len(values) // 2]), float(values[-1])
        for value in (low, middle, high, high + 1):
            yield from (Compare(name, operator, value) for operator in Operator)
            yield from (Between(name, value, None), Between(name, None, value))
        yield from (Between(name, low, high), Between(name, low, middle), Between(name, middle, middle))
    yield from map(Is, STATES)
    yield from map(Has, [*HAS, *FIELDS])
    yield from map(Token, VOCABULARY)
    yield from (Text(part) for label in [*WORDS, *CATEGORIES] for part in (label, label.upper(), label[1:]) if part)
    for label in CATEGORIES:
        steps = tuple(step.strip() for step in label.upper().split(">"))
        yield from (Category(steps[:n]) for n in range(1, len(steps) + 1))


def test_every_term_and_its_negation_find_what_a_plain_filter_finds(world: World) -> None:
    """What random queries happen to leave out is here; and each operator and state tells features apart."""
    cache = ColumnCache()
    telling: dict[str, bool] = {}
    with world.store.read() as session:
        for term in _every_term():
            for node in (term, Not(term)):
                text = print_query(Query(node))
                found = select_features(session, cache, world.snapshot_id, text).matches.tolist()
                assert query_filter.matches(world.features, Query(node)) == found, text
                kind = f"{type(term).__name__} {getattr(term, 'operator', getattr(term, 'state', ''))}"
                telling[kind] = telling.get(kind, False) or 0 < len(found) < N - N_NULL
    assert [] == [kind for kind, is_telling in telling.items() if not is_telling]


def test_pages_one_after_another_are_the_whole_order(world: World) -> None:
    cache = ColumnCache()

    @QUICK
    @given(QUERIES, st.integers(1, 30))
    def check(query: Query, limit: int) -> None:
        with world.store.read() as session:
            found = select_features(session, cache, world.snapshot_id, print_query(query))
        seen: list[int] = []
        after: Cursor | None = None
        while True:
            page = found.page(limit, after)
            assert found.n_matches == page.n_matches
            seen += page.feature_index.tolist()
            assert len(seen) <= N  # no page again and again
            if page.next is None:
                break
            assert limit == len(page.feature_index)
            after = Cursor.parse(page.next.encode())
            assert page.next == after
        assert found.order().tolist() == seen

    check()


def test_a_page_mark_whose_value_is_another_by_now_goes_on_after_that_value(world: World) -> None:
    with world.store.read() as session:
        found = select_features(session, ColumnCache(), world.snapshot_id, "sort:n_fires")
    fires = found.columns.facts["n_fires"]
    order = found.order().tolist()
    at = next(place for place, index in enumerate(order) if fires[index] > 0)
    between = Cursor("n_fires", (float(fires[order[at]]) + 0.5,), order[at])
    after = [index for index in order[at:] if fires[index] > fires[order[at]] + 0.5]
    assert after[:5] == found.page(5, between).feature_index.tolist()
    nowhere = Cursor("n_fires", (float(fires[order[-1]]),), 10**6)
    assert [] == found.page(5, nowhere).feature_index.tolist()


def test_a_text_is_looked_for_once_until_somebody_says_something(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    find = search.find_text
    monkeypatch.setattr(search, "find_text", lambda *of: (asked.append(of[-1]), find(*of))[1])
    cache = ColumnCache()
    before = _select(world, cache, "law")
    assert before == _select(world, cache, "law")
    assert ["law"] == asked
    labeled = [i for i in range(N - N_NULL) if world.features[i].semantic_label and i not in before]
    of_one = (FeatureStateRow.sae_id == world.sae_id, FeatureStateRow.feature_index == labeled[0])
    with world.store.write() as session:
        session.execute(update(FeatureStateRow).where(*of_one).values(search_text="law", rev=500))
    assert sorted([*before, labeled[0]]) == sorted(_select(world, cache, "law"))
    assert ["law", "law"] == asked


def test_what_an_older_reader_finds_is_not_kept_for_others(world: World) -> None:
    cache = ColumnCache()
    labeled = [i for i in range(N - N_NULL) if world.features[i].semantic_label]
    before = _select(world, ColumnCache(), "law")
    index = next(i for i in labeled if i not in before)
    of_one = (FeatureStateRow.sae_id == world.sae_id, FeatureStateRow.feature_index == index)
    with world.store.read() as old:
        old.execute(select(FeatureStateRow.rev)).all()  # from here on it reads what there is now
        with world.store.write() as session:
            session.execute(update(FeatureStateRow).where(*of_one).values(search_text="law", rev=500))
        _select(world, cache, "")  # another request has seen the change
        select_features(old, cache, world.snapshot_id, "law")
    assert sorted([*before, index]) == sorted(_select(world, cache, "law"))


def _select(world: World, cache: ColumnCache, text: str, **options: str) -> list[int]:
    with world.store.read() as session:
        return select_features(session, cache, world.snapshot_id, text, **options).order().tolist()


def test_sort_keys_given_apart_replace_those_of_the_query(world: World) -> None:
    expected = query_filter.ordered(world.features, parse_query("is:dead sort:-score sort:feature_index"))
    assert expected == _select(world, ColumnCache(), "is:dead sort:x", sort="-score,feature_index")


def test_null_matches_no_comparison_and_every_negation_of_one(world: World) -> None:
    cache = ColumnCache()
    unknown = [f.feature_index for f in world.features[: N - N_NULL] if f.numbers["score"] is None]
    assert not set(unknown) & set(_select(world, cache, "(score:>=-10 OR score:<10 OR score:..5 OR score:0)"))
    assert set(unknown) <= set(_select(world, cache, "-score:>=-10"))
    assert sorted(unknown) == sorted(_select(world, cache, "-has:score"))


def test_a_page_mark_is_for_its_own_order(world: World) -> None:
    with world.store.read() as session:
        found = select_features(session, ColumnCache(), world.snapshot_id, "sort:-score")
    with pytest.raises(InputError, match="of the order 'score'; expected one of '-score'"):
        found.page(5, Cursor("score", (0.5,), 3))
    with pytest.raises(InputError, match="a page of 0 features"):
        found.page(0)


@pytest.mark.parametrize(
    "text", ["", "x", "é", "e30", "WzFd", "Wyd4J10", "[" * 4000, Cursor("s", (10**400,), 1).encode()]
)
def test_a_broken_page_mark_is_the_callers_fault(text: str) -> None:
    with pytest.raises(InputError, match="is not a page mark"):
        Cursor.parse(text)


def test_what_is_not_there_is_named(world: World) -> None:
    with pytest.raises(QueryError, match=r"unknown field 'std_activation'; expected one of label, .*neighbour"):
        _select(world, ColumnCache(), "std_activation:>0")
    with pytest.raises(QueryError, match="unknown sort key 'y'"):
        _select(world, ColumnCache(), "", sort="y")
    with pytest.raises(NotFoundError, match="there is no list 'mine'"):
        _select(world, ColumnCache(), "in:mine")
    with world.store.read() as session, pytest.raises(NotFoundError, match="there is no snapshot 99"):
        select_features(session, ColumnCache(), 99)


def test_a_snapshot_without_columns_says_what_to_do(world: World) -> None:
    with world.store.write() as session:
        session.execute(delete(FeatureColumnRow))
    with pytest.raises(NotFoundError, match="has no columns; extract the run again"):
        _select(world, ColumnCache(), "")


def test_kept_columns_follow_what_people_do(world: World) -> None:
    cache = ColumnCache()
    before = _select(world, cache, "is:favorite")
    index = next(i for i in range(N - N_NULL) if world.features[i].semantic_label and i not in before)
    changed = update(FeatureStateRow).where(
        FeatureStateRow.sae_id == world.sae_id, FeatureStateRow.feature_index == index
    )
    with world.store.write() as session:
        session.execute(changed.values(is_favorite=True, category_label="New > Path", score=None, rev=500))
    assert sorted([*before, index]) == sorted(_select(world, cache, "is:favorite"))
    assert [index] == _select(world, cache, "category:new")
    assert index not in _select(world, cache, "has:score")
    assert sorted(_select(world, cache, "")) == sorted(_select(world, ColumnCache(), ""))


def test_an_old_snapshot_is_not_taken_for_a_new_one_of_the_same_id(world: World) -> None:
    cache = ColumnCache()
    assert N - N_NULL == len(_select(world, cache, ""))
    with world.store.write() as session:
        session.execute(delete(SnapshotRow).where(SnapshotRow.id == world.snapshot_id))
        run = session.get_one(RunRow, world.run_id)
        save_snapshot(session, run, world.features[:10], id=world.snapshot_id)
    assert 10 == len(_select(world, cache, ""))


def test_only_a_few_snapshots_are_kept(world: World) -> None:
    cache = ColumnCache(n_snapshots=1)
    with world.store.write() as session:
        other = save_snapshot(session, save_run(session, "third"), world.features[:5])
    with world.store.read() as session:
        first = cache.load(session, world.snapshot_id)
        assert first is cache.load(session, world.snapshot_id)
        assert 5 == cache.load(session, other).n_features
        assert first is not cache.load(session, world.snapshot_id)
