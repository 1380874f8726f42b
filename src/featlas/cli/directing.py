"""The command for what an SAE's weights say by themselves, and how it looks on a feature's page."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from featlas.cli.extracting import run_job_here
from featlas.cli.showing import number, quoted, share
from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.domain import DirectionKind, FeatureState
from featlas.specs import DirectionsSpec, read_spec
from featlas.store import jobs
from featlas.store.directions import FeatureLogits, FeatureNeighbours, fetch_logits, fetch_neighbours, find_directions
from featlas.store.job_views import find_unfinished
from featlas.store.labels import read_states
from featlas.store.runs import Run

N_NEAR = 5
"""Neighbours on a feature's page; `--json` has all of them."""


@dataclass(frozen=True)
class FeatureDirections:
    """What the weights say of one feature, and what is in force for its neighbours."""

    logits: FeatureLogits
    neighbours: tuple[FeatureNeighbours, ...]
    states: Mapping[int, FeatureState]


def run_directions(request: Mapping[str, Any], *, as_json: bool) -> int:
    """Compute the directions of a run's SAE, following the job to its end."""
    spec = read_spec(DirectionsSpec, request)
    with opened() as here:
        jobs.reconcile(here.store)
        job = find_unfinished(here.store, "directions", spec.content_hash())
        if job is None:
            job = jobs.enqueue(here.store, "directions", spec)
        else:
            sys.stderr.write(f"going on with job {job.id}, which does the same and was {job.state}\n")
            job = jobs.resume(here.store, job.id) if job.state in jobs.RESUMABLE else job
        done = run_job_here(here, job)
    result = done.result or {}
    if as_json:
        print(json.dumps({**result, "job": done.id}))
    else:
        _print_found(result)
    return 0


def _print_found(result: Mapping[str, Any]) -> None:
    n, near, reasons = result["n_features"], result["n_near_duplicates"], result["reasons"]
    without = result["n_without_direction"]
    print(f"{n:,} features of the SAE of run {result['run']} {result['name']}, {without:,} without a decoder direction")
    print(f"  tokens      {reasons.get('logits', 'promoted and suppressed ones of each')}")
    print(
        f"  neighbours  {near['decoder']:,} features have one that points the same way by decoder, "
        f"{near['encoder']:,} by encoder (cosine 0.99 or more)"
    )
    explained = result["explained_variance"]
    map_text = reasons.get("map") or f"its axes show {share(explained[0])} and {share(explained[1])} of the variance"
    print(f"  map         {map_text}")
    print(f"next: featlas feature {result['run']} 0")


def find_feature_directions(session: Any, run: Run, index: int) -> FeatureDirections | None:
    """What the weights say of a feature; None where it was not computed."""
    directions = find_directions(session, run)
    if directions is None:
        return None
    neighbours = tuple(fetch_neighbours(session, run, directions, kind, index) for kind in DirectionKind)
    near = {item.feature_index for found in neighbours for item in found.items}
    states = read_states(session, run.sae_id, sorted(near)) if near else {}
    return FeatureDirections(fetch_logits(session, run, directions, index), neighbours, states)


def print_feature_directions(found: FeatureDirections) -> None:
    """The tokens and the nearest features of one."""
    console = result_console()
    logits = found.logits
    if logits.reason is not None:
        console.print(f"  no promoted or suppressed tokens: {logits.reason}", style="dim", soft_wrap=True)
    for name, tokens in (("promotes", logits.promoted), ("suppresses", logits.suppressed)):
        if tokens:
            shown = "  ".join(f"{quoted(token.token)} {token.effect:+.2f}" for token in tokens)
            console.print(Text(f"  {name:<10} {shown}"), soft_wrap=True)
    for near in found.neighbours:
        if near.items:
            console.print(_neighbour_table(near, found.states))


def _neighbour_table(near: FeatureNeighbours, states: Mapping[int, FeatureState]) -> Table:
    table = Table(f"nearest by {near.kind}", "cosine", "label", box=None, pad_edge=False)
    table.columns[0].justify = table.columns[1].justify = "right"
    for item in near.items[:N_NEAR]:
        state = states.get(item.feature_index)
        label = Text((state and state.semantic_label) or "")
        mark = " (the same way)" if item.is_near_duplicate else ""
        table.add_row(str(item.feature_index), f"{number(item.cosine)}{mark}", label)
    return table


def directions_to_json(found: FeatureDirections | None) -> dict[str, Any]:
    """What `featlas feature --json` adds: null where it was not computed, or where there is none, with the reason."""
    if found is None:
        return {"logits": None, "neighbours": None}
    logits = found.logits
    tokens = {"promoted": logits.promoted, "suppressed": logits.suppressed}
    return {
        "logits": {"reason": logits.reason, **{name: [vars(token) for token in of] for name, of in tokens.items()}},
        "neighbours": {
            str(near.kind): [
                {**vars(item), "is_near_duplicate": item.is_near_duplicate, "label": _label(found.states, item)}
                for item in near.items
            ]
            for near in found.neighbours
        },
    }


def _label(states: Mapping[int, FeatureState], item: Any) -> str | None:
    state = states.get(item.feature_index)
    return state.semantic_label if state else None
