"""What a query can say, as a typed tree: fields, states and clauses, with no meaning given to them yet."""

import enum
from collections.abc import Iterator
from dataclasses import dataclass, field

from featlas.errors import InputError

FIELDS = {
    "feature_index": "number of the feature",
    "n_fires": "events: counted positions on which it fires",
    "activation_frequency": "n_fires / n_tokens; `density` is an alias",
    "n_contexts_fired": "contexts with an event",
    "context_frequency": "n_contexts_fired / contexts",
    "n_documents_fired": "documents with an event",
    "mean_activation": "mean over events",
    "std_activation": "standard deviation over events",
    "max_activation": "largest event",
    "n_fires_excluded": "positions that are not counted (BOS, sinks) on which it fires",
    "max_excluded": "largest activation on positions that are not counted",
    "score": "score of the current label",
}
"""Numeric fields that every snapshot has; a snapshot may have more columns, whose names the caller passes in."""

ALIASES = {"density": "activation_frequency"}

STATES = {
    "dead": "never fires on a counted position",
    "dense": "fires on more than 10 % of counted positions",
    "sink_only": "fires on excluded positions only",
    "null": "a random direction, taken along as a control; hidden unless a query says is:null",
    "duplicate": "fires at exactly the same positions as an earlier feature",
    "labeled": "has a label",
    "unlabeled": "has none",
    "favorite": "marked by somebody",
    "linted": "its label was flagged by the linter",
    "stale": "its label was asked for in words that its template no longer has",
    "failed": "a language model was asked for its label last, and no answer could be used",
    "human": "its label was written by a person",
    "machine": "its label was written by a program: an LLM, a rule, a lexicon",
    "imported": "its label came from elsewhere",
    "unreviewed": "nobody has judged its label",
    "accepted": "its label was accepted",
    "rejected": "its label was rejected",
}

HAS = ("label", "category", "lint")
"""What `has:` asks for besides numeric fields (of which it asks whether they are not null)."""


@dataclass(frozen=True)
class Span:
    """A stretch of the query's text: code points start … end − 1."""

    start: int
    end: int


class QueryError(InputError):
    """A query that cannot be asked: `span` says where, `expected` what would do, `suggestion` a near name or "".

    `of` is what the message calls the text that `span` counts in.
    """

    of = "query"

    def __init__(self, what: str, span: Span, *, expected: str = "", suggestion: str = "") -> None:
        self.what, self.span, self.expected, self.suggestion = what, span, expected, suggestion
        hint = f"; did you mean {suggestion!r}?" if suggestion else ""
        needed = f"; expected {expected}" if expected else ""
        super().__init__(f"bad {self.of} at character {span.start + 1}: {what}{needed}{hint}")


class SortError(QueryError):
    """Sort keys, given apart from the query, that cannot be used: `span` counts in their own text."""

    of = "sort"


@dataclass(frozen=True)
class Placed:
    """Something with a place in the query's text, which does not count when two are compared."""

    span: Span = field(default=Span(0, 0), compare=False, repr=False, kw_only=True)


class Operator(enum.StrEnum):
    """How a field is compared with a number."""

    GREATER = ">"
    GREATER_EQUAL = ">="
    LESS = "<"
    LESS_EQUAL = "<="
    EQUAL = "="


@dataclass(frozen=True)
class Text(Placed):
    """The label or the category contains this text, case folded."""

    text: str


@dataclass(frozen=True)
class Token(Placed):
    """The feature fires on the token with exactly these bytes."""

    token: bytes


@dataclass(frozen=True)
class Category(Placed):
    """The category path starts with these segments, case folded."""

    path: tuple[str, ...]


@dataclass(frozen=True)
class Is(Placed):
    """The feature is in one of STATES."""

    state: str


@dataclass(frozen=True)
class Has(Placed):
    """The feature has one of HAS, or a value in a numeric field."""

    name: str


@dataclass(frozen=True)
class InList(Placed):
    """The feature is in the list of this name."""

    name: str


@dataclass(frozen=True)
class Compare(Placed):
    """The field's value compares so with a number; null never does."""

    field: str
    operator: Operator
    value: float


@dataclass(frozen=True)
class Between(Placed):
    """The field's value lies in low … high, both included; None is an open end; null lies nowhere."""

    field: str
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Not(Placed):
    """Exactly the features that the clause does not match (so a null value matches the negation of a comparison)."""

    clause: "Node"


@dataclass(frozen=True)
class And(Placed):
    """All of two or more clauses, none of which is an And."""

    clauses: "tuple[Node, ...]"


@dataclass(frozen=True)
class Or(Placed):
    """At least one of two or more clauses, none of which is an Or."""

    clauses: "tuple[Node, ...]"


Term = Text | Token | Category | Is | Has | InList | Compare | Between
Node = Term | Not | And | Or


@dataclass(frozen=True)
class SortKey(Placed):
    """Order by a numeric field; nulls come last either way."""

    field: str
    is_descending: bool


@dataclass(frozen=True)
class Query:
    """A filter (None: everything) and an order (empty: the default order); ties go by feature_index."""

    where: Node | None = None
    sort: tuple[SortKey, ...] = ()

    @property
    def shows_null(self) -> bool:
        """Whether null features are shown: only where `is:null` occurs."""
        return any(isinstance(node, Is) and node.state == "null" for node in read_nodes(self.where))


def read_nodes(node: Node | None) -> Iterator[Node]:
    """Iterate over the node and everything below it."""
    if node is None:
        return
    yield node
    below = (node.clause,) if isinstance(node, Not) else node.clauses if isinstance(node, And | Or) else ()
    for clause in below:
        yield from read_nodes(clause)
