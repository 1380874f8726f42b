"""What a query's matches are made of, and what each of its conditions leaves out: what a search page offers next."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featlas.domain import FeatureFlag
from featlas.query import Node, Query, Span, print_query
from featlas.query.tree import And
from featlas.store.categories import category_tree
from featlas.store.columns import REVIEWS, SOURCES, Columns, Indices, Lookup, find_matches


@dataclass(frozen=True)
class Condition:
    """A top-level condition of a query: where it stands in the text, and the query without it."""

    span: Span
    rest: Query

    @property
    def without(self) -> str:
        """The text of the query without it."""
        return print_query(self.rest)


@dataclass(frozen=True)
class FacetCounts:
    """Matches by category path (each step counts what is below it), label source, review state and flag."""

    n_matches: int
    n_labeled: int
    categories: dict[tuple[str, ...], int]
    sources: dict[str, int]
    reviews: dict[str, int]
    flags: dict[str, int]


def take_apart(query: Query) -> list[Condition]:
    """The conditions that must all hold, in the order of the text; a query of alternatives is one condition."""
    where = query.where
    clauses = where.clauses if isinstance(where, And) else () if where is None else (where,)
    rests = (_joined(clauses[:at] + clauses[at + 1 :]) for at in range(len(clauses)))
    return [
        Condition(clause.span, dataclasses.replace(query, where=rest))
        for clause, rest in zip(clauses, rests, strict=True)
    ]


def count_without(query: Query, columns: Columns, lookup: Lookup) -> list[int]:
    """For each condition how many features match the query without it."""
    return [int(np.count_nonzero(find_matches(condition.rest, columns, lookup))) for condition in take_apart(query)]


def count_facets(matches: Indices, columns: Columns) -> FacetCounts:
    """How these features spread."""
    state = columns.state
    source = state.source[matches]
    # A review is of a label: features without one are not "unreviewed".
    is_judged = state.has_label[matches] | (state.review[matches] != 0)
    review = state.review[matches][is_judged]
    flags = columns.flags[matches]
    return FacetCounts(
        n_matches=len(matches),
        n_labeled=int(state.has_label[matches].sum()),
        categories=_category_tree(state.category[matches], state.categories),
        sources=_named(np.bincount(source[source >= 0], minlength=len(SOURCES)), [str(name) for name in SOURCES]),
        reviews=_named(np.bincount(review, minlength=len(REVIEWS)), [str(name) for name in REVIEWS]),
        flags={(flag.name or "").lower(): n for flag in FeatureFlag if (n := int(((flags & flag) != 0).sum()))},
    )


def _joined(clauses: tuple[Node, ...]) -> Node | None:
    if len(clauses) < 2:
        return clauses[0] if clauses else None
    return And(clauses)


def _category_tree(codes: NDArray[np.int32], categories: tuple[str, ...]) -> dict[tuple[str, ...], int]:
    counts = np.bincount(codes[codes >= 0], minlength=len(categories))
    return category_tree(zip(categories, counts.tolist(), strict=True))


def _named(counts: NDArray[np.int64], names: list[str]) -> dict[str, int]:
    return {name: n for name, n in zip(names, counts.tolist(), strict=True) if n}
