"""From the text of a query to its tree, by recursive descent, with the place of every mistake."""

import difflib
import math
import re
from collections.abc import Collection

from featlas.query.tree import (
    ALIASES,
    FIELDS,
    HAS,
    STATES,
    And,
    Between,
    Category,
    Compare,
    Has,
    InList,
    Is,
    Node,
    Not,
    Operator,
    Or,
    Query,
    QueryError,
    SortError,
    SortKey,
    Span,
    Text,
    Token,
)

_TEXT_FIELDS = ("label", "token", "category", "is", "has", "in", "sort")
_MAX_DEPTH = 50
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WORD = re.compile(r'[^\s"()]+')
_FIELD = re.compile(r"[^\W\d]\w*:")
_SPACE = re.compile(r"\s*")
RESERVED = ("OR", "AND", "NOT")
ESCAPES = {"n": b"\n", "t": b"\t", "r": b"\r", '"': b'"', "\\": b"\\"}


def parse_query(text: str, *, fields: Collection[str] = tuple(FIELDS)) -> Query:
    """Read a query; `fields` are the numeric fields that exist. Raises QueryError with the place of the mistake."""
    for position, character in enumerate(text):
        if "\ud800" <= character <= "\udfff":
            raise QueryError("not valid text (a lone surrogate)", Span(position, position + 1))
    return _Parser(text, fields).query()


def parse_sort(text: str, *, fields: Collection[str] = tuple(FIELDS)) -> tuple[SortKey, ...]:
    """Read sort keys as given apart from a query, `-score` or `-score,feature_index`. Raises SortError."""
    keys, start = [], 0
    try:
        for part in text.split(","):
            keys.append(_sort_key(part, Span(start, start + len(part)), fields))
            start += len(part) + 1
        return _distinct(keys)
    except QueryError as error:
        raise SortError(error.what, error.span, expected=error.expected, suggestion=error.suggestion) from None


def _distinct(keys: list[SortKey]) -> tuple[SortKey, ...]:
    for i, key in enumerate(keys):
        if any(key.field == earlier.field for earlier in keys[:i]):
            raise QueryError(f"sorted by {key.field} twice", key.span, expected="each sort key once")
    return tuple(keys)


def _sort_key(text: str, span: Span, fields: Collection[str]) -> SortKey:
    name = text.removeprefix("-").lower()
    return SortKey(_one_of(ALIASES.get(name, name), "sort key", fields, span, ALIASES), text.startswith("-"), span=span)


def _one_of(name: str, kind: str, known: Collection[str], span: Span, also: Collection[str] = ()) -> str:
    if name in known:
        return name
    near = difflib.get_close_matches(name, [*known, *also], n=1, cutoff=0.6)
    raise QueryError(f"unknown {kind} {name!r}", span, expected="one of " + ", ".join(known), suggestion="".join(near))


class _Parser:
    """Recursive descent over the text; `at` is the next code point to read."""

    def __init__(self, text: str, fields: Collection[str]) -> None:
        self.text, self.fields = text, fields
        self.at = self.depth = 0
        self.sort: list[SortKey] = []

    def query(self) -> Query:
        self._skip_space()
        where = self._alternatives() if self.at < len(self.text) else None
        if self.at < len(self.text):
            raise QueryError("unopened ')'", Span(self.at, self.at + 1), expected="a '(' before it")
        return Query(where, _distinct(self.sort))

    def _skip_space(self) -> None:
        self.at = _SPACE.match(self.text, self.at).end()  # pyright: ignore[reportOptionalMemberAccess]

    def _word(self) -> str:
        match = _WORD.match(self.text, self.at)
        return match.group() if match else ""

    def _alternatives(self) -> Node | None:
        start, clauses = self.at, [self._conjunction()]
        while self._word() == "OR":
            self.at += 2
            self._skip_space()
            clauses.append(self._conjunction())
            if clauses[0] is None:
                break
        if len(clauses) == 1:
            return clauses[0]
        if None in clauses:
            raise QueryError("nothing beside OR", Span(start, self.at), expected="a clause on either side")
        return _joined(Or, clauses, Span(start, self.at))

    def _conjunction(self) -> Node | None:
        start, n_sort, clauses = self.at, len(self.sort), []
        while self.at < len(self.text) and self.text[self.at] != ")" and self._word() != "OR":
            clause = self._clause()
            if clause is not None:
                clauses.append(clause)
            self._skip_space()
            if self._word() == "AND":
                self._and()
        if not clauses and len(self.sort) == n_sort:
            raise QueryError("nothing here", Span(start, start + 1), expected='a word, "a phrase" or field:value')
        if not clauses:
            return None
        return clauses[0] if len(clauses) == 1 else _joined(And, clauses, Span(start, self.at))

    def _and(self) -> None:
        start = self.at
        self.at += 3
        self._skip_space()
        if self.at >= len(self.text) or self.text[self.at] == ")" or self._word() in RESERVED:
            raise QueryError("nothing after AND", Span(start, self.at), expected="a clause")

    def _clause(self) -> Node | None:
        start = self.at
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise QueryError("nested too deeply", Span(start, start + 1), expected=f"at most {_MAX_DEPTH} levels")
        first = self.text[start]
        clause = self._group() if first == "(" else self._negation() if first == "-" else self._term()
        self.depth -= 1
        return clause

    def _group(self) -> Node | None:
        start = self.at
        self.at += 1
        self._skip_space()
        clause = self._alternatives()
        if self.at >= len(self.text):
            raise QueryError("'(' is never closed", Span(start, start + 1), expected="a ')'")
        self.at += 1
        return clause

    def _negation(self) -> Node:
        start = self.at
        self.at += 1
        if self.at >= len(self.text) or self.text[self.at].isspace() or self.text[self.at] == ")":
            raise QueryError("'-' stands alone", Span(start, start + 1), expected="a clause right after it")
        clause = self._clause()
        assert clause is not None  # a sort key below the top level was refused
        return Not(clause, span=Span(start, self.at))

    def _term(self) -> Node | None:
        start = self.at
        if self.text[start] == '"':
            return Text(self._phrase(), span=Span(start, self.at))
        match = _FIELD.match(self.text, start)
        if match:
            self.at = match.end()
            return self._field(match.group()[:-1].lower(), start)
        word = self._word()
        self.at += len(word)
        if word in RESERVED:
            hint = "- before the clause" if word == "NOT" else f'a clause before it, or "{word}" for the text'
            raise QueryError(f"{word} stands here", Span(start, self.at), expected=hint)
        return Text(_no_nul(word, Span(start, self.at)), span=Span(start, self.at))

    def _field(self, name: str, start: int) -> Node | None:
        name = ALIASES.get(name, name)
        if name == "sort":
            return self._sort_clause(start)
        if name in self.fields:
            return self._comparison(name, start)
        _one_of(name, "field", [*_TEXT_FIELDS, *self.fields], Span(start, self.at - 1), ALIASES)
        if name == "token":
            return Token(self._token(), span=Span(start, self.at))
        if name == "label" and self.text[self.at : self.at + 1] == "~":
            self.at += 1
        value_at = self.at
        value = self._value(name)
        span, value_span = Span(start, self.at), Span(value_at, self.at)
        if name == "label":
            return Text(value, span=span)
        if name == "category":
            return Category(_category_path(value, value_span), span=span)
        if name == "is":
            return Is(_one_of(value.lower(), "state", STATES, value_span), span=span)
        if name == "has":
            thing = ALIASES.get(value.lower(), value.lower())
            return Has(_one_of(thing, "thing to have", [*HAS, *self.fields], value_span, ALIASES), span=span)
        return InList(value, span=span)

    def _sort_clause(self, start: int) -> None:
        value_at, value = self.at, self._value("sort")
        span = Span(start, self.at)
        if self.depth > 1:
            raise QueryError("sort inside another clause", span, expected="sort:KEY or sort:-KEY at the top level")
        self.sort.append(_sort_key(value, Span(value_at, self.at), self.fields))

    def _value(self, name: str) -> str:
        """The quoted or bare text after `name:`."""
        if self.text[self.at : self.at + 1] == '"':
            return self._phrase()
        start, word = self.at, self._word()
        self.at += len(word)
        if not word:
            raise QueryError(
                f"no value after {name}:", Span(start, start + 1), expected="a value without a space before it"
            )
        return _no_nul(word, Span(start, self.at))

    def _token(self) -> bytes:
        if self.text[self.at : self.at + 1] == '"':
            return self._quoted()
        start, word = self.at, self._value("token")
        if "\\" in word:
            raise QueryError("a backslash outside quotes", Span(start, self.at), expected='token:"…" around escapes')
        return word.encode()

    def _phrase(self) -> str:
        start, content = self.at, self._quoted()
        try:
            return _no_nul(content.decode(), Span(start, self.at))
        except UnicodeDecodeError as error:
            raise QueryError("escapes that are not UTF-8", Span(start, self.at), expected="text") from error

    def _quoted(self) -> bytes:
        start, content = self.at, bytearray()
        self.at += 1
        while self.text[self.at : self.at + 1] not in ('"', ""):
            if self.text[self.at] == "\\":
                content += self._escape()
            else:
                content += self.text[self.at].encode()
                self.at += 1
        if self.at >= len(self.text):
            raise QueryError("'\"' is never closed", Span(start, start + 1), expected="a second '\"'")
        self.at += 1
        if not content:
            raise QueryError("empty quotes", Span(start, self.at), expected="at least one character between them")
        return bytes(content)

    def _escape(self) -> bytes:
        start, letter = self.at, self.text[self.at + 1 : self.at + 2]
        if letter in ESCAPES:
            self.at += 2
            return ESCAPES[letter]
        digits = re.compile(r"x([0-9a-fA-F]{2})").match(self.text, self.at + 1)
        if digits is None:
            raise QueryError("unknown escape", Span(start, start + 2), expected='one of \\n \\t \\r \\" \\\\ \\xNN')
        self.at += 4
        return bytes.fromhex(digits.group(1))

    def _comparison(self, name: str, start: int) -> Node:
        value_at, value = self.at, self._value(name)
        value_span, span = Span(value_at, self.at), Span(start, self.at)
        if ".." in value:
            low, _, high = value.partition("..")
            return _between(name, low, high, span, value_span)
        for operator in sorted(Operator, key=len, reverse=True):
            if value.startswith(operator):
                return Compare(name, operator, _number(value[len(operator) :], value_span), span=span)
        return Compare(name, Operator.EQUAL, _number(value, value_span), span=span)


def _between(name: str, low_text: str, high_text: str, span: Span, value_span: Span) -> Between:
    low = _number(low_text, value_span) if low_text else None
    high = _number(high_text, value_span) if high_text else None
    if low is None and high is None:
        raise QueryError("a range without ends", value_span, expected="lo..hi, lo.. or ..hi")
    if low is not None and high is not None and low > high:
        raise QueryError("a range that ends before it begins", value_span, expected="lo..hi with lo ≤ hi")
    return Between(name, low, high, span=span)


def _number(text: str, span: Span) -> float:
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        wanted = "a number such as 0.8 or 1e-5, after one of > >= < <= = if you like, or lo..hi"
        raise QueryError(f"{text!r} is not a number", span, expected=wanted)
    return float(text)


def _no_nul(text: str, span: Span) -> str:
    if "\0" in text:
        raise QueryError("a NUL character", span, expected="text, which never holds one")
    return text


def _category_path(text: str, span: Span) -> tuple[str, ...]:
    path = tuple(segment.strip() for segment in text.split(">"))
    if not all(path):
        raise QueryError(f"an empty step in the path {text!r}", span, expected='"Language > Syntax"')
    return path


def _joined(kind: type[And] | type[Or], clauses: list[Node | None], span: Span) -> Node:
    flat: list[Node] = []
    for clause in clauses:
        if isinstance(clause, kind):
            flat.extend(clause.clauses)
        elif clause is not None:
            flat.append(clause)
    return kind(tuple(flat), span=span)
