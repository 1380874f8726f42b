"""What the command line says of language models: who can be asked, what it will take, and what came of it."""

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rich.table import Table
from rich.text import Text

from featlas.api.label_preview import PlannedLabeling, plan_labeling, preview_prompt
from featlas.cli.surroundings import Surroundings, opened
from featlas.cli.terminal import result_console
from featlas.domain import MICRO_USD, FailureCause, LabelStatus
from featlas.entry.providers import list_providers, try_provider
from featlas.entry.worker import load_settings
from featlas.errors import NotFoundError
from featlas.pipeline.shipped_templates import add_shipped_templates
from featlas.specs import LabelSpec
from featlas.store.job_views import fetch_job
from featlas.store.json_shapes import label_to_json
from featlas.store.labelings import compare_jobs, list_job_labels
from featlas.store.labels import fetch_label
from featlas.store.responses import fetch_response

CAUSES: Mapping[str, str] = {
    FailureCause.REFUSED: "the model refused",
    FailureCause.BAD_ANSWER: "no label could be read from the answer, nor from the second one",
    FailureCause.TRUNCATED: "the answer was cut off; raise --max-output-tokens",
    FailureCause.TIMEOUT: "no answer in time; raise --timeout-s",
    FailureCause.RATE_LIMIT: "turned away again and again; lower --concurrency or --requests-per-minute",
    FailureCause.CONNECTION: "no connection",
    FailureCause.SERVER: "the provider had an error",
    FailureCause.REQUEST: "the provider did not accept the question",
}
"""What each cause of a failure means to the one who reads it."""


def estimate_labeling(here: Surroundings, spec: LabelSpec) -> PlannedLabeling:
    """What the labeling would take."""
    return plan_labeling(here.store, here.settings.artifacts_path, spec)


def print_estimate(spec: LabelSpec, planned: PlannedLabeling, *, is_result: bool, as_json: bool) -> None:
    """Features, tokens, price and time, before anybody is asked; beside what is to come, unless it is the result."""
    found = planned.estimate
    if as_json:
        if is_result:
            print(json.dumps({**vars(found), "template": planned.template.name, "n_skipped": planned.n_skipped}))
        return
    by = "measured on earlier answers" if found.is_measured else "estimated"
    money = "no price known" if found.cost_micro_usd is None else f"about ${_dollars(found.cost_micro_usd)}"
    seconds = "" if found.seconds is None else f", about {_duration(found.seconds)}"
    lines = [
        f"asking {spec.asked_model} ({spec.provider}) about {found.n_features:,} features, template"
        f" {planned.template.name} version {planned.template.version}",
        f"  about {found.n_tokens_in:,} tokens in and {found.n_tokens_out:,} out ({by}): {money}{seconds}",
        f"  left out: {_left_out(planned.n_skipped)}",
    ]
    print("\n".join(lines), file=sys.stdout if is_result else sys.stderr)


def _left_out(skipped: Mapping[str, int]) -> str:
    words = {
        "flagged": "with a flag (dead, dense, duplicate …)",
        "human": "of people's",
        "labeled": "with a label (--relabel asks again)",
        "answered": "answered before",
    }
    return ", ".join(f"{n:,} {words[why]}" for why, n in skipped.items())


def _dollars(micro_usd: int) -> str:
    dollars = micro_usd / MICRO_USD
    return f"{dollars:.2f}" if dollars >= 0.1 else f"{dollars:.2g}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_asked(job_id: int, result: Mapping[str, Any]) -> None:
    """What came of a labeling by a language model."""
    if "answers" in result:
        _print_dry_run(result)
    else:
        print(
            f"{result['n_labeled']:,} of {result['n_features']:,} features labeled"
            + (f", {result['n_by_rule']:,} of them by rule" if result["n_by_rule"] else "")
        )
        print(
            f"  no clear pattern in {result['n_abstained']:,}; {result['n_linted']:,} labels wait for a person (lint)"
        )
        if result["n_unchanged"]:
            print(f"  the same answer as before for {result['n_unchanged']:,}: nothing was added to these")
    for cause, n in result["n_by_cause"].items():
        print(f"  failed {n:,}: {CAUSES.get(cause, cause)}")
    money = "" if result["cost_micro_usd"] is None else f", ${_dollars(result['cost_micro_usd'])}"
    known = f", {result['n_from_cache']:,} answers known before" if result["n_from_cache"] else ""
    tokens = f"{result['n_tokens_in']:,} tokens in, {result['n_tokens_out']:,} out"
    print(f"  {result['n_requests']:,} calls, {tokens}{money}{known}")
    if result["is_over_budget"]:
        print(f"  the budget is reached: {result['n_left']:,} features were not asked about")
    if result["n_failed"] and "answers" not in result:
        who = f"--provider {result['provider']} --model {shlex.quote(result['model'])}"
        words = f"--template {shlex.quote(result['template'])}"
        print(f"next: featlas label {result['run']} {who} {words} --retry-of {job_id}")
    elif "answers" not in result:
        print(f"next: featlas review queue {result['run']}")


def _print_dry_run(result: Mapping[str, Any]) -> None:
    table = Table("feature", "label", "category", "explanation", "lint", box=None, pad_edge=False)
    for answer in result["answers"]:
        label = answer["semantic_label"] or f"({answer['failure_cause'] or answer['status']})"
        lint = ", ".join(answer["lint"])
        table.add_row(str(answer["feature_index"]), label, answer["category_label"] or "", answer["explanation"], lint)
    result_console().print(table)
    print("a dry run: no label was kept, and the same questions will not be paid for again")


def print_prompt(template: str, run: str, index: int, *, model: str, as_json: bool) -> int:
    """The exact prompt of one feature in a template's wording."""
    spec = LabelSpec(run=run, provider="openai", model=model, template=template)
    with opened() as here:
        add_shipped_templates(here.store)
        found = preview_prompt(here.store, here.settings.artifacts_path, spec, index)
    if as_json:
        print(json.dumps({"question": asdict(found.question), "shown": found.prompt.shown}))
        return 0
    print(found.prompt.system, found.prompt.user, sep="\n\n")
    sys.stderr.write(f"about {found.n_tokens_in:,} tokens\n")
    return 0


def print_answer(label_id: int, *, as_json: bool) -> int:
    """The exact question and answer behind a language model's label."""
    with opened() as here, here.store.read() as session:
        label = fetch_label(session, label_id)
        if label.response_key is None:
            raise NotFoundError(f"label {label_id} was not read from a language model's answer")
        kept = fetch_response(session, label.response_key)
    if as_json:
        print(json.dumps(asdict(kept)))
        return 0
    print(kept.request["system"], kept.request["user"], sep="\n\n")
    print(f"\n--- {kept.response['model']} ({kept.provider}) answered:\n{kept.response['text']}")
    return 0


def print_job_labels(job_id: int, *, failed_only: bool, as_json: bool) -> int:
    """What a labeling job said, newest first."""
    status = LabelStatus.FAILED if failed_only else None
    with opened() as here:
        fetch_job(here.store, job_id)
        with here.store.read() as session:
            found = list_job_labels(session, job_id, status=status, limit=1_000_000)
    if as_json:
        for label in found:
            print(json.dumps(label_to_json(label)))
        return 0
    table = Table("feature", "label", "category", "lint", "explanation", box=None, pad_edge=False)
    for label in found:
        text = label.semantic_label or f"({label.failure_cause or label.status})"
        lint = ", ".join(label.lint)
        table.add_row(
            str(label.feature_index), Text(text), label.category_label or "", lint, Text(label.explanation or "")
        )
    result_console().print(table if found else "nothing yet")
    return 0


def print_comparison(job_a: int, job_b: int, *, which: str, as_json: bool) -> int:
    """How two labeling jobs answered, feature by feature."""
    with opened() as here, here.store.read() as session:
        found = compare_jobs(session, job_a, job_b, which=which, limit=1_000_000)
    if as_json:
        for feature, a, b in found.pairs:
            print(json.dumps({"feature_index": feature, "a": a and label_to_json(a), "b": b and label_to_json(b)}))
        return 0
    print(f"{found.n_both:,} features in both jobs, {found.n_same:,} with the same label;", end=" ")
    print(f"{found.n_only_a:,} only in {job_a}, {found.n_only_b:,} only in {job_b}")
    table = Table("feature", f"job {job_a}", f"job {job_b}", box=None, pad_edge=False)
    for feature, a, b in found.pairs:
        table.add_row(str(feature), *(Text("–" if x is None else x.semantic_label or f"({x.status})") for x in (a, b)))
    if found.pairs:
        result_console().print(table)
    return 0


def print_providers(*, as_json: bool) -> int:
    """Every provider, where it is asked, and whether there is a key."""
    found = list_providers(load_settings())
    if as_json:
        for one in found:
            print(json.dumps(asdict(one)))
        return 0
    table = Table("provider", "address", "key", "default model", box=None, pad_edge=False)
    for one in found:
        key = f"{one.key_variable} " + ("is set" if one.has_key else "is not set")
        address = one.base_url or f"set FEATLAS_{one.name.upper()}_BASE_URL"
        table.add_row(one.name, address, key, one.default_model or "name it with --model")
    result_console().print(table)
    return 0


def print_trial(name: str, model: str, *, as_json: bool) -> int:
    """Ask one tiny question and say what came; raises InputError or ExternalError where nothing did."""
    found = try_provider(load_settings(), name, model)
    if as_json:
        print(json.dumps(asdict(found)))
        return 0
    tokens = f"{found.n_tokens_in} tokens in, {found.n_tokens_out} out"
    counts = "it counts no tokens" if found.n_tokens_in is None else tokens
    print(f"{name} ({found.host}) answers as {found.model} in {found.seconds:.1f} s; {counts}")
    print(
        "  it keeps to the JSON schema" if found.keeps_schema else "  its answer was no label; try --answer-format text"
    )
    return 0
