"""What the commands' arguments share: how runs and whole numbers are given, and the option for JSON."""

from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter, Token

from featlas.errors import InputError

Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON lines instead of a table.")]


def _to_whole(_type: type, tokens: Sequence[Token]) -> int:
    """The number that is written there; cyclopts alone would round 1.5."""
    given = tokens[0]
    try:
        return int(given.value)
    except ValueError as error:
        raise InputError(f"{given.keyword or 'argument'} {given.value!r}: expected a whole number") from error


Whole = Annotated[int, Parameter(converter=_to_whole)]
RunRef = Annotated[str, Parameter(help="Number, name or start of the uid of a run.")]
