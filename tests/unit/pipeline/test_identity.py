"""Two extractions are the same one exactly when their spec and their inputs are."""

import os
from pathlib import Path

import pytest

from featlas.errors import NotFoundError
from featlas.pipeline.identity import extraction_hash
from featlas.specs import ExtractSpec
from featlas.store.artifacts import artifact_name


@pytest.fixture
def spec(tmp_path: Path) -> ExtractSpec:
    for name in ("sae/cfg.json", "model/config.json", "texts/a.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text("one")
    return ExtractSpec(model=str(tmp_path / "model"), sae=str(tmp_path / "sae"), text=(str(tmp_path / "texts"),))


@pytest.mark.parametrize("name", ["sae/cfg.json", "model/config.json", "texts/a.txt"])
def test_it_changes_with_the_content_of_every_input(spec: ExtractSpec, tmp_path: Path, name: str) -> None:
    known = extraction_hash(spec)
    (tmp_path / name).write_text("one and more")
    changed = extraction_hash(spec)
    assert changed != known
    os.utime(tmp_path / name, ns=(1, 1))  # a rewrite of the same length shows by its time
    assert extraction_hash(spec) not in (known, changed)


@pytest.mark.parametrize("name", ["sae/new.json", "model/new.json", "texts/new.txt"])
def test_it_changes_with_a_file_more(spec: ExtractSpec, tmp_path: Path, name: str) -> None:
    known = extraction_hash(spec)
    (tmp_path / name).write_text("two")
    assert extraction_hash(spec) != known


@pytest.mark.parametrize("name", ["sae/README.md", "model/.gitattributes"])
def test_what_is_there_for_people_to_read_changes_nothing(spec: ExtractSpec, tmp_path: Path, name: str) -> None:
    known = extraction_hash(spec)
    (tmp_path / name).write_text("a card")
    assert extraction_hash(spec) == known


def test_it_changes_with_what_is_asked_for_and_not_with_its_name(spec: ExtractSpec) -> None:
    known = extraction_hash(spec)
    assert extraction_hash(spec.model_copy(update={"name": "another"})) == known
    for change in ({"seed": 1}, {"threshold": 0.5}, {"model": "some/model"}, {"hook_point": "hook_embed"}):
        assert extraction_hash(spec.model_copy(update=change)) != known, change


def test_missing_texts_are_not_found(spec: ExtractSpec) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        extraction_hash(spec.model_copy(update={"text": ("nowhere.txt",)}))


def test_every_attempt_of_a_job_has_one_folder_and_every_job_its_own() -> None:
    assert artifact_name("abcdef0123456789", 7) == "job-000007-abcdef012345"
    assert artifact_name("abcdef0123456789", None) != artifact_name("abcdef0123456789", 7)
