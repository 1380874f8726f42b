"""The commands for the review queue: what waits, steps through it, what was done, and undoing it."""

import json
import sys
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from featlas.cli.browsing import TABLE_LIMIT
from featlas.cli.showing import number, share, state_line
from featlas.cli.surroundings import Surroundings, opened
from featlas.cli.terminal import result_console
from featlas.domain import FeatureState, QueueOrder, ReviewAction
from featlas.errors import InputError
from featlas.store import reviews
from featlas.store.column_cache import ColumnCache
from featlas.store.json_shapes import journal_entry_to_json, state_to_json
from featlas.store.label_changes import HumanLabel
from featlas.store.label_state import read_states
from featlas.store.review_queue import ReviewQueue, list_queue
from featlas.store.reviews import Reviewed
from featlas.store.runs import Run, fetch_run

_STEPS = {
    ReviewAction.ACCEPT: "accepted",
    ReviewAction.REJECT: "rejected",
    ReviewAction.WRITE: "wrote",
    ReviewAction.SKIP: "skipped",
}


def print_queue(run_ref: str, query: str, *, order: str, by: str, limit: int | None, as_json: bool) -> int:
    """The features that wait for a person, in order."""
    _require_limit(limit)
    with opened() as here, here.store.read() as session:
        run = fetch_run(session, run_ref)
        found = list_queue(session, ColumnCache(), run, query, reviewer=by, order=QueueOrder(order))
        most = limit if limit is not None or as_json else TABLE_LIMIT
        shown = found.ids[:most].tolist()
        states = read_states(session, run.sae_id, shown)
    waiting = [states.get(index, FeatureState(run.sae_id, index)) for index in shown]
    if as_json:
        for state in waiting:
            print(json.dumps(state_to_json(state)))
        return 0
    if waiting:
        result_console().print(_queue_table(waiting, found))
    rest = f"; the first {len(shown)} are shown, --limit N shows more" if len(shown) < len(found.ids) else ""
    skipped = f", {found.n_skipped:,} more were skipped" if found.n_skipped else ""
    sys.stderr.write(
        f"{len(found.ids):,} of {found.selection.n_matches:,} matching features wait for a review{skipped}{rest}\n"
    )
    return 0


def _queue_table(waiting: Sequence[FeatureState], found: ReviewQueue) -> Table:
    table = Table("feature", "frequency", "score", "lint", "source", "label", box=None, pad_edge=False)
    for column in (0, 1, 2):
        table.columns[column].justify = "right"
    frequency = found.selection.columns.facts["activation_frequency"]
    for state in waiting:
        table.add_row(
            str(state.feature_index),
            share(float(frequency[state.feature_index])),
            number(state.score),
            ", ".join(state.lint_flags),
            str(state.label_source or ""),
            Text(state.semantic_label or "(none in force)"),
        )
    return table


def accept(label_id: int, *, by: str, as_json: bool) -> int:
    """Say that a label is right."""
    with opened() as here:
        done = reviews.record_accept(here.store, label_id, reviewer=by)
    return _tell(done, as_json=as_json)


def reject(label_id: int, reason: str, *, by: str, as_json: bool) -> int:
    """Say that a label is wrong."""
    with opened() as here:
        done = reviews.record_reject(here.store, label_id, reason, reviewer=by)
    return _tell(done, as_json=as_json)


def write(run_ref: str, index: int, text: str, *, by: str, category: str, explanation: str, as_json: bool) -> int:
    """Give a feature a person's label."""
    with opened() as here:
        run = _fetch_run(here, run_ref)
        said = HumanLabel(text, category, explanation, run.id)
        done = reviews.record_label(here.store, run.sae_id, index, said, reviewer=by)
    return _tell(done, as_json=as_json)


def skip(run_ref: str, index: int, *, by: str, as_json: bool) -> int:
    """Keep a feature out of the reviewer's queue for a while."""
    with opened() as here:
        done = reviews.record_skip(here.store, _fetch_run(here, run_ref).sae_id, index, reviewer=by)
    return _tell(done, as_json=as_json)


def undo(run_ref: str, *, by: str, leave_overtaken: bool, as_json: bool) -> int:
    """Take back a reviewer's newest step."""
    with opened() as here:
        sae_id = _fetch_run(here, run_ref).sae_id
        done = reviews.undo_last(here.store, sae_id, by, leave_overtaken=leave_overtaken)
    return _tell(done, as_json=as_json)


def print_log(run_ref: str, *, by: str, limit: int | None, as_json: bool) -> int:
    """Steps through the queue, newest first."""
    _require_limit(limit)
    most = limit if limit is not None or as_json else TABLE_LIMIT
    with opened() as here, here.store.read() as session:
        entries = reviews.list_actions(session, fetch_run(session, run_ref).sae_id, by or None, limit=most)
    if as_json:
        for entry in entries:
            print(json.dumps(journal_entry_to_json(entry)))
        return 0
    table = Table("at", "by", "step", "feature", "label", "", box=None, pad_edge=False)
    for entry in entries:
        table.add_row(
            f"{entry.created_at:%Y-%m-%d %H:%M}",
            Text(entry.reviewer),
            _STEPS[entry.action],
            str(entry.feature_index),
            Text("" if entry.label_id is None else f"{entry.label_id} {entry.semantic_label}"),
            "undone" if entry.undone_at else "",
        )
    result_console().print(table if entries else "nobody has reviewed anything in the queue yet")
    return 0


def _fetch_run(here: Surroundings, run_ref: str) -> Run:
    with here.store.read() as session:
        return fetch_run(session, run_ref)


def _tell(done: Reviewed, *, as_json: bool) -> int:
    if as_json:
        print(json.dumps({"action": journal_entry_to_json(done.action), "state": state_to_json(done.state)}))
        return 0
    step = done.action
    of_label = "" if step.label_id is None else f"label {step.label_id} {step.semantic_label!r} of "
    undone = "undone: " if step.undone_at else ""
    print(f"{undone}{step.reviewer} {_STEPS[step.action]} {of_label}feature {step.feature_index}")
    print(state_line(done.state))
    return 0


def _require_limit(limit: int | None) -> None:
    if limit is not None and limit < 0:
        raise InputError(f"--limit {limit}: expected 0 or more")
