"""The commands for labels: the job that gives them, and what people say of them one at a time."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from featlas.cli.asking import estimate_labeling, print_asked, print_estimate
from featlas.cli.extracting import run_job_here
from featlas.cli.showing import state_line
from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.domain import FeatureState, Label
from featlas.entry.providers import find_provider
from featlas.errors import InputError
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.specs import LabelSpec
from featlas.store import jobs, labels
from featlas.store.json_shapes import label_to_json, state_to_json
from featlas.store.labelings import take_up_labeling
from featlas.store.labels import HumanLabel
from featlas.store.runs import fetch_run
from featlas.store.session import Store


def run_label(request: Mapping[str, Any], *, estimate_only: bool = False, as_json: bool) -> int:
    """Run the labeling job in the foreground and tell what came of it."""
    spec = _to_spec(request)
    if estimate_only and not spec.asks_a_language_model:
        raise InputError("the offline labeler costs nothing; --estimate is for a --provider that is asked")
    with opened() as here:
        jobs.reconcile(here.store)
        if spec.asks_a_language_model:
            add_shipped_templates(here.store)
            if not estimate_only:
                find_provider(here.settings, spec.provider)  # a missing key is told at once, without a job
            expected = estimate_labeling(here, spec)
            print_estimate(spec, expected, is_result=estimate_only, as_json=as_json)
        if estimate_only:
            return 0
        job, was = take_up_labeling(here.store, spec)
        if was is not None:
            sys.stderr.write(f"going on with job {job.id}, which does the same and was {was}\n")
        done = run_job_here(here, job)
    result = done.result or {}
    if as_json:
        print(json.dumps({**result, "job": done.id}))
    elif spec.asks_a_language_model:
        print_asked(done.id, result)
    else:
        _print_found(result)
    return 0


def _print_found(result: Mapping[str, Any]) -> None:
    skipped = result["n_skipped"]
    by_source = ", ".join(f"{n:,} {source}" for source, n in result["n_by_source"].items())
    print(
        f"{result['n_labeled']:,} of {result['n_features']:,} features labeled"
        + (f": {by_source}" if by_source else "")
    )
    print(f"  no clear pattern in {result['n_abstained']:,}; {result['n_linted']:,} labels wait for a person (lint)")
    print(
        f"  left out: {skipped['flagged']:,} with a flag (dead, dense, duplicate …), {skipped['human']:,} of people's"
    )
    print(f"next: featlas features {result['run']} is:labeled --limit 20")


def _to_spec(request: Mapping[str, Any]) -> LabelSpec:
    try:
        return LabelSpec.model_validate(request)
    except ValidationError as error:
        raise InputError("; ".join(_complaint(found) for found in error.errors())) from error


def _complaint(found: Any) -> str:
    if not found["loc"]:  # about several fields together: it names them itself
        return str(found["ctx"]["error"])
    return f"--{str(found['loc'][0]).replace('_', '-')} {found['input']!r}: {found['msg'].lower()}"


def print_labels(run_ref: str, index: int, *, as_json: bool) -> int:
    """Every label of a feature, newest first."""
    with opened() as here, here.store.read() as session:
        run = fetch_run(session, run_ref)
        labels.require_feature(session, run.sae_id, index)
        found = labels.list_labels(session, labels.fetch_state(session, run.sae_id, index))
    if as_json:
        for label in found:
            print(json.dumps(label_to_json(label)))
        return 0
    result_console().print(_label_table(found) if found else f"no labels of feature {index} yet")
    return 0


def _label_table(found: list[Label]) -> Table:
    table = Table("label", "", "source", "review", "lint", "by", "created", "text", box=None, pad_edge=False)
    for label in found:
        text = label.semantic_label or f"({label.status}) {label.explanation or ''}"
        table.add_row(
            str(label.id),
            "*" if label.is_current else "",
            str(label.source),
            str(label.review_state),
            ", ".join(label.lint),
            Text(label.created_by or label.provider or ""),
            f"{label.created_at:%Y-%m-%d %H:%M}",
            Text(text),
        )
    return table


def add_label(run_ref: str, index: int, text: str, *, category: str, explanation: str, by: str, as_json: bool) -> int:
    """Give a feature a person's label."""
    with opened() as here:
        with here.store.read() as session:
            run = fetch_run(session, run_ref)
        label = HumanLabel(text, category, explanation, run.id)
        state = labels.add_human_label(here.store, run.sae_id, index, label, created_by=by or None)
    return _tell(state, as_json=as_json)


def accept(label_id: int, *, by: str, as_json: bool) -> int:
    """Say that a label is right."""
    return _change(lambda store: labels.accept_label(store, label_id, by=by or None), as_json=as_json)


def reject(label_id: int, reason: str, *, by: str, as_json: bool) -> int:
    """Say that a label is wrong."""
    return _change(lambda store: labels.reject_label(store, label_id, reason, by=by or None), as_json=as_json)


def restore(label_id: int, *, by: str, as_json: bool) -> int:
    """Bring an older label back into force."""
    return _change(lambda store: labels.restore_label(store, label_id, by=by or None), as_json=as_json)


def _change(act: Callable[[Store], FeatureState], *, as_json: bool) -> int:
    with opened() as here:
        state = act(here.store)
    return _tell(state, as_json=as_json)


def _tell(state: FeatureState, *, as_json: bool) -> int:
    print(json.dumps(state_to_json(state)) if as_json else state_line(state))
    return 0
