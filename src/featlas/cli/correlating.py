"""The command that says which features go together: all of them by a job, or a few chosen ones at once."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from featlas.api.correlation_matrix import parse_features, parse_measure, parse_unit, read_matrix
from featlas.api.correlation_schemas import CorrelationMatrix
from featlas.api.routes.correlations import matrix_of
from featlas.cli.extracting import run_job_here
from featlas.cli.showing import number, share
from featlas.cli.surroundings import opened
from featlas.cli.terminal import result_console
from featlas.errors import InputError
from featlas.specs import CorrelateSpec, read_spec
from featlas.store import jobs
from featlas.store.correlations import take_up_correlation
from featlas.store.runs import fetch_run

MOST_FEATURES = 500


def run_correlate(request: Mapping[str, Any], *, as_json: bool) -> int:
    """Find the partners of every feature of a run, in the foreground, and tell what came of it."""
    parse_unit(str(request["unit"]))
    spec = read_spec(CorrelateSpec, request)
    with opened() as here:
        jobs.reconcile(here.store)
        job, was = take_up_correlation(here.store, spec)
        if was is not None:
            sys.stderr.write(f"going on with job {job.id}, which does the same and was {was}\n")
        done = run_job_here(here, job)
    result = done.result or {}
    if as_json:
        print(json.dumps({**result, "job": done.id}))
    else:
        _print_found(result)
    return 0


def _print_found(result: Mapping[str, Any]) -> None:
    n_with = ", ".join(f"{n:,} by {measure}" for measure, n in result["n_with_partners"].items())
    print(f"{result['n_features']:,} features over {result['n_units']:,} {result['unit']}s")
    print(f"  with partners: {n_with}")
    print(f"  {result['n_dead']:,} never fire; {result['n_near_duplicates']:,} are nearly the same as one before them")
    if result["is_estimate"]:
        kept, planned = result["n_blocks"], result["n_blocks_planned"]
        print(f"  an estimate: {kept:,} of the run's {planned:,} blocks were there ({share(kept / planned)})")


def print_matrix(run_ref: str, features: str, *, method: str, unit: str, as_json: bool) -> int:
    """The square matrix of chosen features, computed in this process."""
    measure, of_unit, chosen = parse_measure(method), parse_unit(unit), parse_features(features)
    if len(chosen) > MOST_FEATURES:
        raise InputError(f"--features names {len(chosen)}; expected at most {MOST_FEATURES}")
    with opened() as here:
        with here.store.read() as session:
            run = fetch_run(session, run_ref)
        found = matrix_of(run, read_matrix(run, here.settings.artifacts_path, chosen, measure, of_unit))
    if as_json:
        print(found.model_dump_json())
    else:
        _print_matrix(found)
    return 0


def _print_matrix(found: CorrelationMatrix) -> None:
    console = result_console()
    table = Table("feature", *map(str, found.features), box=None, pad_edge=False)
    for column in table.columns:
        column.justify, column.no_wrap = "right", True
    for feature, values in zip(found.features, found.value, strict=True):
        table.add_row(str(feature), *(number(value, 2) for value in values))
    console.print(f"{found.measure} over {found.n_units:,} {found.unit}s", style="bold")
    console.print(table)
    for feature, reason in zip(found.features, found.reasons, strict=True):
        if reason is not None:
            console.print(f"  feature {feature} has none: it is {reason}")
    if found.is_estimate:
        console.print(f"  an estimate: {share(found.share)} of the run's blocks were there")
