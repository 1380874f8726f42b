"""The query language as text: what each form means as a tree, how mistakes are reported, and the round trip."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from featlas.errors import InputError
from featlas.query import (
    FIELDS,
    HAS,
    STATES,
    Query,
    QueryError,
    SortError,
    SortKey,
    Span,
    parse_query,
    parse_sort,
    print_query,
)
from featlas.query.tree import And, Between, Category, Compare, Has, InList, Is, Node, Not, Operator, Or, Text, Token


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("  ", None),
        ("court", Text("court")),
        ('"court of"', Text("court of")),
        ("label:court", Text("court")),
        ('label:~"legal"', Text("legal")),
        ("label:~legal", Text("legal")),
        ("LABEL:x", Text("x")),
        ("12:30", Text("12:30")),
        ("or", Text("or")),
        ('"OR"', Text("OR")),
        ("a\\n", Text("a\\n")),
        ('"a\\nb\\"\\\\"', Text('a\nb"\\')),
        ('"\\xc3\\xa9"', Text("é")),
        ("a b", And((Text("a"), Text("b")))),
        ("a AND b", And((Text("a"), Text("b")))),
        ("(a b) c", And((Text("a"), Text("b"), Text("c")))),
        ('a"b"', And((Text("a"), Text("b")))),
        ("-a", Not(Text("a"))),
        ("--a", Not(Not(Text("a")))),
        ("-(a b)", Not(And((Text("a"), Text("b"))))),
        ("(a OR b)", Or((Text("a"), Text("b")))),
        ("( a OR b )", Or((Text("a"), Text("b")))),
        ("a OR b OR c", Or((Text("a"), Text("b"), Text("c")))),
        ("a OR (b OR c)", Or((Text("a"), Text("b"), Text("c")))),
        ("a b OR c", Or((And((Text("a"), Text("b"))), Text("c")))),
        ("a (b OR c)", And((Text("a"), Or((Text("b"), Text("c")))))),
        ("n_fires:1..5", Between("n_fires", 1.0, 5.0)),
        ("n_fires:5..5", Between("n_fires", 5.0, 5.0)),
        ("n_fires:1..", Between("n_fires", 1.0, None)),
        ("n_fires:..5", Between("n_fires", None, 5.0)),
        ("n_fires:1...5e1", Between("n_fires", 1.0, 5.0)),
        ("density:1e-5..1e-2", Between("activation_frequency", 1e-5, 1e-2)),
        ("max_activation:-3.5", Compare("max_activation", Operator.EQUAL, -3.5)),
        ("score:=0.5", Compare("score", Operator.EQUAL, 0.5)),
        ("score:>.5", Compare("score", Operator.GREATER, 0.5)),
        ("score:>=+1.", Compare("score", Operator.GREATER_EQUAL, 1.0)),
        ("score:<1E3", Compare("score", Operator.LESS, 1000.0)),
        ("score:<=0", Compare("score", Operator.LESS_EQUAL, 0.0)),
        ('token:" court"', Token(b" court")),
        ("token:court", Token(b"court")),
        ('token:"\\n\\t\\r\\xff"', Token(b"\n\t\r\xff")),
        ('token:"é"', Token("é".encode())),
        ('token:"\\x00"', Token(b"\0")),
        ('category:"Language > Syntax"', Category(("Language", "Syntax"))),
        ("category:Language>Syntax", Category(("Language", "Syntax"))),
        ("is:Dead", Is("dead")),
        ("has:score", Has("score")),
        ("has:density", Has("activation_frequency")),
        ("has:label", Has("label")),
        ('in:"to do"', InList("to do")),
    ],
)
def test_each_form_has_its_tree(text: str, expected: Node | None) -> None:
    assert Query(expected) == parse_query(text)


@pytest.mark.parametrize(
    ("text", "where", "sort"),
    [
        ("sort:-score", None, [("score", True)]),
        ("sort:density", None, [("activation_frequency", False)]),
        ("a sort:score sort:-n_fires b", And((Text("a"), Text("b"))), [("score", False), ("n_fires", True)]),
        ("a OR b sort:score", Or((Text("a"), Text("b"))), [("score", False)]),
    ],
)
def test_sort_stands_beside_the_filter(text: str, where: Node | None, sort: list[tuple[str, bool]]) -> None:
    assert Query(where, tuple(SortKey(*key) for key in sort)) == parse_query(text)


@pytest.mark.parametrize(
    ("text", "start", "end", "words"),
    [
        ("densty:>3", 0, 6, ["unknown field 'densty'", "did you mean 'density'?"]),
        ("a  scor:>3", 3, 7, ["character 4", "did you mean 'score'?"]),
        ("a is:deed", 5, 9, ["unknown state 'deed'", "did you mean 'dead'?"]),
        ("is:zzzz", 3, 7, ["expected one of dead, dense"]),
        ("has:scores", 4, 10, ["did you mean 'score'?"]),
        ("sort:-scores", 5, 12, ["unknown sort key 'scores'", "did you mean 'score'?"]),
        ("sort:score sort:-score", 16, 22, ["sorted by score twice"]),
        ("(a sort:score)", 3, 13, ["sort inside another clause", "top level"]),
        ("-sort:score", 1, 11, ["sort inside another clause"]),
        ("score:>x", 6, 8, ["'x' is not a number"]),
        ("score:", 6, 7, ["no value after score:"]),
        ("score: 5", 6, 7, ["no value after score:"]),
        ("score:>", 6, 7, ["'' is not a number"]),
        ("score:nan", 6, 9, ["not a number"]),
        ("score:1e999", 6, 11, ["not a number"]),
        ("score:inf..", 6, 11, ["not a number"]),
        ("score:..", 6, 8, ["a range without ends"]),
        ("score:3..2", 6, 10, ["ends before it begins"]),
        ("score:1..2..3", 6, 13, ["'2..3' is not a number"]),
        ("a)", 1, 2, ["unopened ')'"]),
        ("x (a", 2, 3, ["'(' is never closed"]),
        ("x ()", 3, 4, ["nothing here"]),
        ("a OR", 4, 5, ["nothing here"]),
        ("OR a", 0, 1, ["nothing here"]),
        ("a OR sort:score", 0, 15, ["nothing beside OR"]),
        ("sort:score OR a", 0, 15, ["nothing beside OR"]),
        ("a AND", 2, 5, ["nothing after AND"]),
        ("a AND OR b", 2, 6, ["nothing after AND"]),
        ("(a AND )", 3, 7, ["nothing after AND"]),
        ("AND a", 0, 3, ["AND stands here", '"AND"']),
        ("NOT a", 0, 3, ["NOT stands here", "- before the clause"]),
        ("a - b", 2, 3, ["'-' stands alone"]),
        ("a -", 2, 3, ["'-' stands alone"]),
        ("(-)", 1, 2, ["'-' stands alone"]),
        ('x "a', 2, 3, ["'\"' is never closed"]),
        ('x ""', 2, 4, ["empty quotes"]),
        ('"a\\q"', 2, 4, ["unknown escape", "\\xNN"]),
        ('"a\\x1g"', 2, 4, ["unknown escape"]),
        ('"a\\', 2, 4, ["unknown escape"]),
        ('"\\xff"', 0, 6, ["not UTF-8"]),
        ('"\\x00"', 0, 6, ["NUL"]),
        ("a\0", 0, 2, ["NUL"]),
        ("in:a\0", 3, 5, ["NUL"]),
        ("token:\\n", 6, 8, ["a backslash outside quotes"]),
        ('category:"a >"', 9, 14, ["an empty step in the path 'a >'"]),
        ("a\udc80", 1, 2, ["lone surrogate"]),
        ("(" * 60, 50, 51, ["nested too deeply"]),
        ("-" * 60 + "a", 50, 51, ["nested too deeply"]),
    ],
)
def test_mistakes_name_their_place(text: str, start: int, end: int, words: list[str]) -> None:
    with pytest.raises(QueryError) as caught:
        parse_query(text)
    assert (start, end) == (caught.value.span.start, caught.value.span.end)
    for word in [*words, f"bad query at character {start + 1}: "]:
        assert word in str(caught.value)


def test_an_error_is_the_callers_and_carries_its_parts() -> None:
    with pytest.raises(InputError) as caught:
        parse_query("densty:3")
    error = caught.value
    assert isinstance(error, QueryError)
    assert ("unknown field 'densty'", "density") == (error.what, error.suggestion)
    assert error.expected.startswith("one of label, token")


def test_fifty_levels_are_allowed() -> None:
    assert Query(Text("a")) == parse_query("(" * 49 + "a" + ")" * 49)


def test_clauses_know_their_place() -> None:
    where = parse_query(" a  -(score:>=1 OR token:b)").where
    assert isinstance(where, And)
    negation = where.clauses[1]
    assert isinstance(negation, Not)
    assert isinstance(negation.clause, Or)
    spans = [where, where.clauses[0], negation, negation.clause, *negation.clause.clauses]
    assert [(1, 27), (1, 2), (4, 27), (6, 26), (6, 15), (19, 26)] == [(n.span.start, n.span.end) for n in spans]


def test_other_columns_of_a_snapshot_can_be_named() -> None:
    assert Query(Compare("x", Operator.GREATER, 0.0)) == parse_query("x:>0", fields=["x"])
    with pytest.raises(QueryError, match="unknown field 'score'"):
        parse_query("score:>0", fields=["x"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", False), ("is:dead", False), ("is:null", True), ("-is:null", True), ("a (b OR -(c is:null))", True)],
)
def test_null_features_are_shown_where_is_null_occurs(text: str, expected: bool) -> None:
    assert expected == parse_query(text).shows_null


def test_sort_keys_given_apart() -> None:
    assert (SortKey("score", True), SortKey("feature_index", False)) == parse_sort("-score,feature_index")
    with pytest.raises(SortError, match=r"bad sort at character 8: unknown sort key 'sore'; .*did you mean 'score'"):
        parse_sort("-score,sore")
    with pytest.raises(SortError, match="twice"):
        parse_sort("score,-score")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("label:court", "court"),
        ("a b OR c", "(a b) OR c"),
        ("(a OR b) c", "(a OR b) c"),
        ("a OR b sort:-density", "(a OR b) sort:-activation_frequency"),
        ("a b sort:score", "(a b) sort:score"),
        ("-(a b)", "-(a b)"),
        ('"OR"', '"OR"'),
        ('"two words"', '"two words"'),
        ('"-x"', '"-x"'),
        ("12:30", '"12:30"'),
        ("token:court", 'token:"court"'),
        ('token:"\\xc3\\xa9\\xc3\\x00\\n"', 'token:"é\\xc3\\x00\\n"'),
        ("category:a>b", 'category:"a > b"'),
        ("score:1e-5..1", "score:1e-05..1"),
        ("score:..1e20", "score:..1e+20"),
        ("score:=-0.5", "score:-0.5"),
    ],
)
def test_the_canonical_text(text: str, expected: str) -> None:
    assert expected == print_query(parse_query(text))


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
FIELD_NAMES = st.sampled_from(sorted(FIELDS))
SEGMENTS = TEXTS.map(lambda text: text.replace(">", "").strip()).filter(bool)
TERMS = st.one_of(
    TEXTS.map(Text),
    st.sampled_from(["OR", "AND", "NOT", "a:b", "label:x", "-", "~", "(", '"', "\\n", "é"]).map(Text),
    st.binary(min_size=1).map(Token),
    st.lists(SEGMENTS, min_size=1, max_size=3).map(lambda path: Category(tuple(path))),
    st.sampled_from(sorted(STATES)).map(Is),
    st.sampled_from([*HAS, *FIELDS]).map(Has),
    TEXTS.map(InList),
    st.builds(Compare, FIELD_NAMES, st.sampled_from(Operator), NUMBERS),
    st.tuples(FIELD_NAMES, NUMBERS, NUMBERS).map(lambda t: Between(t[0], min(t[1:]), max(t[1:]))),
    st.builds(Between, FIELD_NAMES, NUMBERS, st.none()),
    st.builds(Between, FIELD_NAMES, st.none(), NUMBERS),
)


def _without(kind: type, nodes: st.SearchStrategy[Node]) -> st.SearchStrategy[tuple[Node, ...]]:
    return st.lists(nodes.filter(lambda node: not isinstance(node, kind)), min_size=2, max_size=4).map(tuple)


NODES: st.SearchStrategy[Node] = st.recursive(
    TERMS,
    lambda nodes: st.one_of(nodes.map(Not), _without(And, nodes).map(And), _without(Or, nodes).map(Or)),
    max_leaves=8,
)
SORTS = st.lists(st.builds(SortKey, FIELD_NAMES, st.booleans()), max_size=3, unique_by=lambda key: key.field)
QUERIES = st.builds(Query, st.none() | NODES, SORTS.map(tuple))


@given(QUERIES)
def test_printing_then_parsing_gives_the_same_query(query: Query) -> None:
    assert query == parse_query(print_query(query))


@given(QUERIES)
def test_the_canonical_text_is_a_fixed_point(query: Query) -> None:
    text = print_query(query)
    assert text == print_query(parse_query(text))


def _mistake(text: str) -> Span | None:
    try:
        parse_query(text)
    except QueryError as error:
        return error.span
    return None


@given(st.text(st.sampled_from('ab ()"\\-:~.<>=0x1ORNAD\n') | st.characters()) | st.text())
def test_any_text_is_a_query_or_a_mistake_with_a_place(text: str) -> None:
    span = _mistake(text)
    if span is None:
        assert parse_query(text) == parse_query(print_query(parse_query(text)))
    else:
        assert 0 <= span.start <= len(text)
        assert span.start < span.end
