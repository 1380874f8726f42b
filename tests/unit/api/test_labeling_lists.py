from typing import Any

from tests.unit.api.conftest import Served

from featlas.domain import LabelSource, LabelStatus
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.store.bulk import no_guard
from featlas.store.machine_labels import Asked, LabelingOrigin, MachineLabel, MachineLabelWriter


def label(served: Served, **spec: object) -> int:
    spec = {"run": str(served.run.id), "provider": "openai", **spec}
    answer = served.client.post("/api/v1/jobs", json={"kind": "labeling", "spec": spec})
    assert answer.status_code == 201, answer.json()
    return answer.json()["id"]


def listed(served: Served, **params: object) -> list[int]:
    answer = served.get("labelings", sae=served.sae.uid, **params)
    return [job["id"] for job in answer.json()["items"]]


def said(feature: int, version: int, *lint: str, **more: Any) -> MachineLabel:
    given: dict[str, Any] = {
        "status": LabelStatus.LABELED,
        "source": LabelSource.LLM,
        "provider": "openai",
        "semantic_label": f"label {feature}",
        "category_label": None,
        "explanation": "said so",
        "evidence_hash": f"{feature}",
        "evidence": {},
        "asked": Asked(version, None, 10, 2, 3, 0.1),
    }
    return MachineLabel(feature_index=feature, lint=lint, **{**given, **more})


def test_an_saes_labelings_are_listed_newest_first_without_dry_runs(served: Served):
    add_shipped_templates(served.store)
    first = label(served)
    label(served, dry_run=3)
    second = label(served, provider="lexical")
    assert listed(served) == [second, first]
    page = served.get("labelings", sae=served.sae.uid, limit=1).json()
    assert ([job["id"] for job in page["items"]], page["next"]) == ([second], str(second))
    assert listed(served, after=page["next"]) == [first]
    assert served.get("labelings", sae="nobody").status_code == 404


def test_labels_that_lint_speaks_against_are_listed_alone(served: Served):
    add_shipped_templates(served.store)
    version = served.get("templates/general").json()["version_id"]
    job = label(served)
    origin = LabelingOrigin(served.sae.id, served.run.id, job)
    failed = said(3, version, status=LabelStatus.FAILED, semantic_label=None)
    MachineLabelWriter(served.store, origin, no_guard).add([said(0, version), said(2, version, "too long"), failed])
    everything = served.get(f"labelings/{job}/labels").json()["items"]
    assert [item["feature_index"] for item in everything] == [3, 2, 0]
    linted = served.get(f"labelings/{job}/labels", linted=True).json()["items"]
    assert [(item["feature_index"], item["lint"]) for item in linted] == [(2, ["too long"])]


def test_a_labels_template_is_found_by_its_version(served: Served):
    add_shipped_templates(served.store)
    wording = {"system_text": "Explain.", "user_text": "{tokens} {answer_format}"}
    first = served.client.post("/api/v1/templates", json={"name": "mine", "wording": wording}).json()
    served.client.patch("/api/v1/templates/mine", json={"wording": {**wording, "system_text": "Explain well."}})
    found = served.get(f"templates/of-version/{first['version_id']}").json()
    assert (found["name"], found["version"], found["n_versions"]) == ("mine", 1, 2)
    assert found["wording"] == first["wording"]
    assert served.get("templates/of-version/424242").status_code == 404
