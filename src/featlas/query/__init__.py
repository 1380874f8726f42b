"""The one filter language, parsed into a typed tree and printed back, so that a query means the same everywhere.

    query  = and ("OR" and)*                   clauses side by side must all hold; AND may be written
    and    = clause+
    clause = "-" clause | "(" query ")" | sort | term
    term   = word | "phrase" | field:value     docs/guides/query.md lists the fields and states

The tree is pure syntax: `store/columns.py` gives it meaning.
"""

from featlas.query.parser import parse_query, parse_sort
from featlas.query.printer import print_query
from featlas.query.tree import FIELDS, HAS, STATES, Node, Query, QueryError, SortError, SortKey, Span, read_nodes

__all__ = [
    "FIELDS",
    "HAS",
    "STATES",
    "Node",
    "Query",
    "QueryError",
    "SortError",
    "SortKey",
    "Span",
    "parse_query",
    "parse_sort",
    "print_query",
    "read_nodes",
]
