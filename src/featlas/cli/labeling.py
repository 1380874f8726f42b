"""The commands for labels: the job that gives them, and what people say of them one at a time."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from rich.table import Table
from rich.text import Text

from featlas.cli.extracting import run_job_here
from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.domain import FeatureState, Label
from featlas.errors import InputError
from featlas.specs import LabelSpec
from featlas.store import jobs, labels
from featlas.store.json_shapes import label_to_json, state_to_json
from featlas.store.labels import HumanLabel
from featlas.store.runs import fetch_run, pin_run
from featlas.store.session import Store


def run_label(request: Mapping[str, Any], *, as_json: bool) -> int:
    """Run the labeling job in the foreground and tell what came of it."""
    spec = _to_spec(request)
    with opened() as here:
        jobs.reconcile(here.store)
        with here.store.read() as session:
            spec = pin_run(session, spec)  # a run that is not there is told at once, without a job
        done = run_job_here(here, jobs.enqueue(here.store, "labeling", spec))
    result = done.result or {}
    if as_json:
        print(json.dumps(result))
        return 0
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
    return 0


def _to_spec(request: Mapping[str, Any]) -> LabelSpec:
    try:
        return LabelSpec.model_validate(request)
    except ValidationError as error:
        wrong = (f"--{found['loc'][0]} {found['input']!r}: {found['msg'].lower()}" for found in error.errors())
        raise InputError("; ".join(wrong)) from error


def print_labels(run_ref: str, index: int, *, as_json: bool) -> int:
    """Every label of a feature, newest first."""
    with opened() as here, here.store.read() as session:
        run = fetch_run(session, run_ref)
        labels.require_feature(session, run.sae_id, index)
        found = labels.list_labels(session, run.sae_id, index)
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
    if as_json:
        print(json.dumps(state_to_json(state)))
    elif state.current_label_id is None:
        print(f"feature {state.feature_index} has no label in force")
    else:
        print(f"feature {state.feature_index}: {state.semantic_label} ({state.label_source}, {state.review_state})")
    return 0
