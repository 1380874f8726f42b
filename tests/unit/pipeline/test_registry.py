"""From the kind of a job to its use case."""

import pytest

from featlas.errors import InputError
from featlas.pipeline.registry import KINDS, Kind, find_kind, kind_of
from featlas.specs import CheckSpec, CorrelateSpec, DirectionsSpec, ExtractSpec, LabelSpec, Spec


def double(spec: Spec, _context: object) -> dict[str, str]:
    return {"spec": type(spec).__name__ * 2}


def test_a_use_case_is_imported_when_it_is_needed() -> None:
    kind = Kind(Spec, f"{__name__}:double")
    assert {"spec": "SpecSpec"} == kind.load()(Spec(), None)  # pyright: ignore[reportArgumentType]


def test_kinds_are_found_by_name_and_by_spec() -> None:
    spec = ExtractSpec(model="m", sae="s", text=("t",))
    assert "extraction" == kind_of(KINDS, spec)
    assert "labeling" == kind_of(KINDS, LabelSpec(run="1"))
    assert "directions" == kind_of(KINDS, DirectionsSpec(run="1"))
    assert "correlation" == kind_of(KINDS, CorrelateSpec(run="1"))
    assert ExtractSpec is find_kind(KINDS, "extraction").spec_class


def test_what_is_not_known_is_refused() -> None:
    with pytest.raises(InputError, match="knows no jobs of kind 'dreaming'; expected one of extraction, labeling"):
        find_kind(KINDS, "dreaming")
    with pytest.raises(InputError, match="CheckSpec is not the spec of a job"):
        kind_of(KINDS, CheckSpec(model="m", sae="s", text=("t",)))
