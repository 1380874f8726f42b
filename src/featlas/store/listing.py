"""Asking a snapshot for features by a query's text: parser, columns and look-ups put together in one place."""

import dataclasses
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from featlas.errors import NotFoundError
from featlas.query import Query, parse_query, parse_sort
from featlas.store import search
from featlas.store.column_cache import ColumnCache
from featlas.store.columns import Columns, Indices, Lookup, Mask, find_matches
from featlas.store.paging import Cursor, Page, find_order, find_page


@dataclass(frozen=True)
class StoreLookup:
    """The `columns.Lookup` of one snapshot, for as long as the session is open."""

    session: Session
    snapshot_id: int
    sae_id: int

    def find_text(self, text: str) -> Indices:
        """Features whose label or category contains the text, case folded."""
        return search.find_text(self.session, self.sae_id, text)

    def find_token(self, token: bytes) -> Indices:
        """Features that have the token of exactly these bytes among their top tokens."""
        return search.find_token(self.session, self.snapshot_id, token)

    def find_list(self, name: str) -> Indices:
        """Members of a list; raises NotFoundError, because nobody has made one yet."""
        raise NotFoundError(f"there is no list {name!r}; there are no lists yet")

    def find_stale(self) -> Indices:
        """Features whose label in force was asked for in words that its template no longer has."""
        return search.find_stale(self.session, self.sae_id)

    def find_failed(self) -> Indices:
        """Features of which a language model was asked last, without an answer that could be used."""
        return search.find_failed(self.session, self.sae_id)


@dataclass(frozen=True)
class Selection:
    """What a query found: `is_match` of each feature; `page` and `order` put the matches in the query's order.

    `lookup` answers further queries over the same snapshot, for as long as the session is open.
    """

    query: Query
    columns: Columns
    is_match: Mask
    lookup: Lookup

    @property
    def n_matches(self) -> int:
        """How many there are."""
        return int(np.count_nonzero(self.is_match))

    @property
    def matches(self) -> Indices:
        """The matches, ascending by feature_index."""
        return np.flatnonzero(self.is_match)

    def order(self) -> Indices:
        """All matches in order."""
        return find_order(self.is_match, self.query, self.columns)

    def page(self, limit: int, after: Cursor | None = None) -> Page:
        """The first `limit` matches after a cursor; raises InputError for a cursor of another order."""
        return find_page(self.is_match, self.query, self.columns, limit, after)


def select_features(
    session: Session, cache: ColumnCache, snapshot_id: int, text: str = "", *, sort: str = ""
) -> Selection:
    """The features of a snapshot that a query's text matches; `sort` (`-score,n_fires`) replaces its own order.

    Raises QueryError for what cannot be read or asked, NotFoundError for an unknown snapshot or list.
    """
    columns = cache.load(session, snapshot_id)
    query = parse_query(text, fields=columns.fields)
    if sort:
        query = dataclasses.replace(query, sort=parse_sort(sort, fields=columns.fields))
    lookup = StoreLookup(session, snapshot_id, columns.sae_id)
    return Selection(query, columns, find_matches(query, columns, lookup), lookup)
