"""Takes a body as JSON has it: nothing unknown, and no value of one kind for another."""

from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

_NO_TEXT = frozenset({int, float, bool, list, type(None)})


class Request(BaseModel):
    """A body that the API takes; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _refuse_other_kinds(cls, fields: Any) -> Any:
        """As JSON has them: pydantic alone takes true and "1" for the number 1."""
        for name, field in cls.model_fields.items() if isinstance(fields, dict) else ():
            given, kinds = fields.get(name), _kinds_of(field.annotation)
            for item in given if isinstance(given, list) else [given]:
                is_number = isinstance(item, int | float) and not isinstance(item, bool)
                if (
                    (isinstance(item, bool) and bool not in kinds)
                    or (isinstance(item, str) and kinds <= _NO_TEXT)
                    or (is_number and kinds <= {bool, type(None)})
                ):
                    raise ValueError(f"{name}: {item!r} is of another kind than is expected there")
        return fields


def _kinds_of(annotation: Any) -> set[Any]:
    """Every type that is named in an annotation."""
    inner = [kind for part in get_args(annotation) for kind in _kinds_of(part)]
    return {get_origin(annotation) or annotation, *inner} - {Union, UnionType}
