"""Asks for rows by their index in one of two fixed wordings, since to word it anew takes longer than most answers.

Neighbours are asked for as a range, which both databases read straight from the key, others one by one.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam
from sqlalchemy.orm import InstrumentedAttribute


def are_neighbours(indices: Sequence[int]) -> bool:
    """Whether these are all of first … last; there must be at least one."""
    return max(indices) - min(indices) + 1 == len(indices)


def is_among(column: InstrumentedAttribute[int], *, are_neighbours: bool) -> ColumnElement[bool]:
    """The condition, for `bind_among` to fill in."""
    if are_neighbours:
        return column.between(bindparam("first_index"), bindparam("last_index"))
    return column.in_(bindparam("indices", expanding=True))


def bind_among(indices: Sequence[int]) -> dict[str, Any]:
    """What stands for `is_among` of these indices."""
    if are_neighbours(indices):
        return {"first_index": min(indices), "last_index": max(indices)}
    return {"indices": list(indices)}
