"""Making foreign values storable: text and JSON from files may hold what a database column refuses."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def plain_text(text: str) -> str:
    r"""Text that both databases hold: NUL and lone surrogates are written as escapes, for example \x00."""
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


def plain_json(value: Any) -> Any:
    """A value of plain JSON types: NaN and infinities become None, what JSON does not know becomes its text."""
    if isinstance(value, Mapping):
        return {plain_text(str(key)): plain_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain_json(value.tolist())
    if isinstance(value, str):
        return plain_text(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [plain_json(item) for item in value]
    return plain_text(str(value))


def to_json_text(value: Any) -> str:
    """`plain_json` as text."""
    return json.dumps(plain_json(value), allow_nan=False, separators=(",", ":"))
