"""The commands that look at what is stored: runs, features and one feature."""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from rich.table import Table

from featlas.cli.directing import directions_to_json, find_feature_directions, print_feature_directions
from featlas.cli.showing import number, print_feature_page, print_feature_table
from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.domain import FeatureState, FeatureStats
from featlas.errors import ConflictError, InputError
from featlas.store.column_cache import ColumnCache
from featlas.store.json_shapes import feature_to_json, run_to_json
from featlas.store.labels import fetch_label, fetch_state, read_states
from featlas.store.listing import select_features
from featlas.store.read import fetch_feature, read_features
from featlas.store.runs import Run, fetch_run, list_runs

TABLE_LIMIT = 50
"""Features in a table for people who named no limit; JSON has none."""

STATES_AT_ONCE = 5000


def print_runs(*, as_json: bool) -> int:
    """All runs, newest first."""
    with opened() as here, here.store.read() as session:
        found = list_runs(session)
    if as_json:
        for run in found:
            print(json.dumps(run_to_json(run)))
        return 0
    table = Table("run", "name", "state", "model", "hook point", "features", "tokens", "L0", "FVU", box=None)
    for column in table.columns:
        column.overflow = "fold"
        column.no_wrap = column.header not in ("name", "model", "hook point")
    for run in found:
        quality = (run.header.quality if run.header else None) or {}
        n_tokens = f"{run.header.n_tokens:,}" if run.header else "–"
        row = (str(run.id), run.name, str(run.state), run.model, run.hook_point, f"{run.n_features:,}", n_tokens)
        table.add_row(*row, number(quality.get("l0")), number(quality.get("fvu")))
    result_console().print(table if found else "no runs yet; `featlas demo` or `featlas extract` makes one")
    return 0


def print_features(run_ref: str, query: str, *, sort: str, limit: int | None, as_json: bool) -> int:
    """The features that a query matches, in order."""
    if limit is not None and limit < 0:
        raise InputError(f"--limit {limit}: expected 0 or more")
    with opened() as here, here.store.read() as session:
        run = fetch_run(session, run_ref)
        selection = select_features(session, ColumnCache(), _snapshot_id(run), query, sort=sort)
        order = selection.order()
        wanted = order if limit is None else order[:limit]
        if as_json:
            for feature, state in _with_states(session, run, wanted.tolist()):
                print(json.dumps(feature_to_json(feature, state)))
            return 0
        shown = wanted if limit is not None else wanted[:TABLE_LIMIT]
        print_feature_table(list(_with_states(session, run, shown.tolist())))
    rest = f"; the first {len(shown)} are shown, --limit N shows more" if len(shown) < len(order) else ""
    n_real = int((order < run.n_features).sum())
    controls = f", and {len(order) - n_real:,} random directions" if len(order) > n_real else ""
    sys.stderr.write(f"{n_real:,} of {run.n_features:,} features match{controls}{rest}\n")
    return 0


def _with_states(session: Any, run: Run, indices: Sequence[int]) -> Iterator[tuple[FeatureStats, FeatureState | None]]:
    """Features with what is in force for each, None where nobody has said anything."""
    for at in range(0, len(indices), STATES_AT_ONCE):
        part = indices[at : at + STATES_AT_ONCE]
        states = read_states(session, run.sae_id, part)
        for feature in read_features(session, run, part):
            yield feature, states.get(feature.feature_index)


def _snapshot_id(run: Run) -> int:
    if run.snapshot_id is None:
        raise ConflictError(f"run {run.name!r} has nothing published yet; see `featlas jobs show {run.job_id}`")
    return run.snapshot_id


def print_feature(run_ref: str, index: int, *, as_json: bool) -> int:
    """One feature with its examples."""
    with opened() as here, here.store.read() as session:
        run = fetch_run(session, run_ref)
        found = fetch_feature(session, run, index)
        state = fetch_state(session, run.sae_id, index)
        label = None if state.current_label_id is None else fetch_label(session, state.current_label_id)
        directions = find_feature_directions(session, run, index)
    if as_json:
        print(json.dumps({**feature_to_json(found, state), **directions_to_json(directions)}))
        return 0
    print_feature_page(found, label)
    if directions is not None:
        print_feature_directions(directions)
    return 0
