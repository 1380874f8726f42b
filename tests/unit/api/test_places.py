"""Paths that come over the network stay inside the roots, and tell nothing of what lies outside."""

from pathlib import Path
from typing import Any

import pytest
from tests.builders.doors import CLOSED, client_of, make_app

from featlas.api.door import Door
from featlas.api.places import require_inside
from featlas.errors import InputError
from featlas.pipeline.registry import KINDS
from featlas.specs import ExtractSpec, LabelSpec
from featlas.store.session import Store

# Text fields of the Specs of jobs that name no file of this machine.
NO_PLACES = {"text_field", "tokens_field", "model_revision", "hook_point", "name", "packing", "order", "lm_dtype"}
NO_PLACES_OF_LABELS = set(LabelSpec.model_fields)


@pytest.fixture
def dialect() -> str:
    return "sqlite"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with an SAE and a text in it, beside what nobody may read; the server runs in an empty folder."""
    folder = tmp_path / "root"
    (folder / "sae").mkdir(parents=True)
    (folder / "text.txt").write_text("a")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "text.txt").write_text("b")
    (tmp_path / "root-2").mkdir()
    (folder / "way-out").symlink_to(tmp_path / "secret")
    (folder / "way-in").symlink_to(folder / "sae")
    (folder / "circle").symlink_to(folder / "circle")
    (tmp_path / "cwd" / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "cwd")
    return folder


def spec_of(root: Path, **changed: Any) -> ExtractSpec:
    fields = {"model": "owner/name", "sae": str(root / "sae"), "text": (str(root / "text.txt"),)}
    return ExtractSpec(**{**fields, **changed})


def refusal(root: Path, field: str, place: str) -> str:
    with pytest.raises(InputError) as refused:
        require_inside(spec_of(root, **{field: (place,) if field == "text" else place}), [root])
    return str(refused.value).replace(repr(place), "PLACE")


@pytest.mark.parametrize("model", ["smollm2", "gpt2", "HuggingFaceTB/SmolLM2-135M", "{root}/sae", "{root}/way-in"])
@pytest.mark.parametrize("text", ["hf:owner/set", "hf:owner/set:wikitext-2@main", "{root}", "{root}/sae/../text.txt"])
def test_names_of_the_hub_and_paths_in_a_root_are_let_through(root: Path, model: str, text: str):
    require_inside(spec_of(root, model=model.format(root=root), text=(text.format(root=root),)), [root])


OUTSIDE = [
    "{root}/../secret", "{root}/way-out", "{root}/way-out/text.txt", "{root}-2", "/", "/etc/passwd", "..", ".", "~",
    "~nobody-at-all/x", "{root}/circle", "x\0y", "{root}/../none", "/no/such/thing", "a/b/c", "./x", "x" * 5000,
    "file:///etc/passwd", "http://127.0.0.1/", "\\\\host\\share", "owner/model", "owner",
]  # fmt: skip


@pytest.mark.parametrize("place", OUTSIDE)
def test_everything_else_is_refused_in_the_same_words_whether_it_is_there_or_not(root: Path, place: str):
    given = place.format(root=root)
    assert refusal(root, "sae", given) == refusal(root, "sae", "/no/such/thing")
    assert refusal(root, "text", given) == refusal(root, "text", "/no/such/thing")
    assert refusal(root, "model", given) == refusal(root, "model", "/no/such/thing")
    assert "FEATLAS_ROOTS" in refusal(root, "model", given)


@pytest.mark.parametrize(
    "name", ["/etc", "../secret", "owner/model", "./x", "a/b/c", "", "~", "http://127.0.0.1/x", "json", "text"]
)
def test_a_data_set_of_the_hub_is_no_way_round(root: Path, name: str):
    assert "FEATLAS_ROOTS" in refusal(root, "text", f"hf:{name}:x@main")


def test_a_local_folder_in_the_hubs_layout_is_let_through_inside_a_root(root: Path):
    require_inside(spec_of(root, text=(f"hf:{root}/sae",)), [root])


def test_without_roots_no_path_is_let_through(root: Path):
    with pytest.raises(InputError, match="FEATLAS_ROOTS"):
        require_inside(spec_of(root), [])


def test_each_of_several_texts_is_looked_at(root: Path):
    with pytest.raises(InputError, match="passwd"):
        require_inside(spec_of(root, text=("hf:owner/set", "/etc/passwd")), [root])


def test_the_model_of_a_labeling_is_no_path(root: Path):
    require_inside(LabelSpec(run="1", provider="compatible", model="/models/llama.gguf"), [root])


def test_every_text_field_of_every_kind_of_job_is_known_as_a_place_or_as_none():
    for name, kind in KINDS.items():
        texts = {field for field, made in kind.spec_class.model_fields.items() if "str" in str(made.annotation)}
        texts |= {field for field, made in kind.spec_class.model_fields.items() if "Literal" in str(made.annotation)}
        expected = {"labeling": NO_PLACES_OF_LABELS, "correlation": {"run", "unit"}, "directions": {"run", "map"}}
        assert texts <= expected.get(name, NO_PLACES | {"model", "sae", "text"}), name


@pytest.mark.parametrize(("roots", "status"), [((), 422), (None, 201)], ids=["behind a door", "at home"])
def test_the_api_heeds_roots_where_others_come_in(store: Store, tmp_path: Path, root: Path, roots: Any, status: int):
    client = client_of(make_app(store, tmp_path, Door(), roots=roots))
    spec = spec_of(root).model_dump(mode="json")
    answer = client.post("/api/v1/jobs", json={"kind": "extraction", "spec": spec})
    assert answer.status_code == status, answer.text
    if status == 422:
        assert answer.json()["error_class"] == "InputError"


def _input_fields(schema: dict, known: dict) -> set[str]:
    """The names of all fields below a schema, wherever they are."""
    found: set[str] = set()
    stack, seen = [schema], set()
    while stack:
        part = stack.pop()
        if isinstance(part, list):
            stack += part
        elif isinstance(part, dict):
            found |= set(part.get("properties", {}))
            reference = part.get("$ref", "").rpartition("/")[2]
            if reference and reference not in seen:
                seen.add(reference)
                stack.append(known[reference])
            stack += part.values()
    return found


def test_no_request_can_say_where_a_language_model_is_asked(store: Store, tmp_path: Path):
    described = make_app(store, tmp_path, CLOSED).openapi()
    fields: set[str] = set()
    for methods in described["paths"].values():
        for operation in methods.values():
            fields |= {one["name"] for one in operation.get("parameters", [])}
            body = operation.get("requestBody", {})
            fields |= _input_fields(body, described["components"]["schemas"])
    for kind in KINDS.values():
        schema = kind.spec_class.model_json_schema()
        fields |= _input_fields(schema, schema.get("$defs", {}))
    assert len(fields) > 60
    assert {
        name for name in fields if any(part in name for part in ("url", "uri", "host", "endpoint", "proxy"))
    } == set()


@pytest.mark.parametrize("field", ["base_url", "compatible_base_url", "url", "api_key", "headers"])
def test_a_field_that_would_is_refused(store: Store, tmp_path: Path, field: str):
    client = client_of(make_app(store, tmp_path, Door()))
    spec = {"run": "1", "provider": "openai", field: "http://169.254.169.254/"}
    for path, body in (
        ("jobs", {"kind": "labeling", "spec": spec}),
        ("labelings/plan", {"spec": spec}),
        ("labelings/preview", {"spec": spec, "feature_index": 1}),
        ("providers/openai/test", {"model": "m", field: "http://169.254.169.254/"}),
    ):
        answer = client.post(f"/api/v1/{path}", json=body)
        assert (answer.status_code, field in answer.json()["detail"]) == (422, True), path
