"""`featlas demo`: the main job on real input from a fresh checkout, and three features chosen by stated rules."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import featlas
from featlas.cli.extracting import extract_in, run_job_here
from featlas.cli.showing import print_feature_page, print_run_header
from featlas.cli.surroundings import Surroundings, opened
from featlas.cli.terminal import result_console
from featlas.domain import FeatureFlag, FeatureStats
from featlas.errors import NotFoundError
from featlas.specs import ExtractSpec, LabelSpec
from featlas.store import jobs
from featlas.store.job_views import has_succeeded
from featlas.store.library import fetch_sae
from featlas.store.read import fetch_feature, read_features
from featlas.store.runs import Run

MIN_FIRES = 50  # a feature worth looking at has at least this many firings to look at
BROAD_TOKEN_SHARE = 0.1
CORPUS, SAE = "demo-corpus.jsonl.gz", "demo-sae"


def demo_files() -> Path:
    """Where the demo's corpus and SAE lie in a checkout."""
    folder = Path(featlas.__file__).parents[2] / "data"
    if not (folder / SAE).is_dir():
        raise NotFoundError(f"the demo's files are not in {folder}; run the demo from a checkout of the repository")
    return folder


def run_demo(tokens: int, *, serve: bool) -> int:
    """Extract and label (or reuse) the demo run, show it, and serve the page."""
    started = time.monotonic()
    folder = demo_files()
    spec = ExtractSpec(model="smollm2", sae=str(folder / SAE), text=(str(folder / CORPUS),), tokens=tokens)
    sys.stderr.write(f"the demo: SmolLM2-135M, {SAE} and {tokens:,} tokens of {CORPUS}\n")
    with opened() as here:
        run, was_there = extract_in(here, spec, reuse=True)
        _label_once(here, run)
        print_run_header(run)
        with here.store.read() as session:
            choices = choose_features(read_features(session, run, range(run.n_features)))
            for choice in choices:
                result_console().print(f"\n{choice.rule}", style="dim", soft_wrap=True)
                print_feature_page(fetch_feature(session, run, choice.feature_index))
            sae = fetch_sae(session, str(run.sae_id))
    how = "reused the finished run" if was_there else "extracted"
    sys.stderr.write(f"\n{how} in {time.monotonic() - started:.1f} s; more: featlas features {run.id}\n")
    if serve:
        from featlas.cli.serving import serve_links

        serve_links(page_links(run, sae.uid, choices))
    return 0


def _label_once(here: Surroundings, run: Run) -> None:
    """Label the run's features offline; the same numbers give the same labels, so once is enough."""
    spec = LabelSpec(run=run.uid)
    if not has_succeeded(here.store, "labeling", spec.content_hash()):
        run_job_here(here, jobs.enqueue(here.store, "labeling", spec))


def page_links(run: Run, sae_uid: str, choices: Iterable["Choice"]) -> list[tuple[str, str]]:
    """What to look at in the browser, and where: all features that tell something, then each chosen one."""
    address = f"s/{sae_uid}"
    query = urlencode({"run": run.id, "q": "-is:dense -is:dead"}, quote_via=quote)
    links = [("All features, without the dead and the dense:", f"{address}/features?{query}")]
    return links + [
        (f"{choice.rule[0].upper()}{choice.rule[1:]}", f"{address}/f/{choice.feature_index}?run={run.id}")
        for choice in choices
    ]


@dataclass(frozen=True)
class Choice:
    """A feature and the rule that chose it."""

    feature_index: int
    rule: str


def choose_features(features: Iterable[FeatureStats]) -> list[Choice]:
    """Up to three different features, each the best by a rule that is said with it."""
    alive = [
        feature
        for feature in features
        if feature.n_fires >= MIN_FIRES and not feature.flags & (FeatureFlag.DENSE | FeatureFlag.DEAD)
    ]
    rules: list[tuple[str, Callable[[FeatureStats], float]]] = [
        ("the best detector of one token (largest F1 of precision and recall):", token_f1),
        (f"the most frequent without a token above {BROAD_TOKEN_SHARE:.0%} of its firings:", broad_frequency),
        (
            "the sharpest: its strongest firing stands furthest above its mean, in standard deviations:",
            peak_height,
        ),
    ]
    chosen: list[Choice] = []
    for rule, merit in rules:
        taken = {choice.feature_index for choice in chosen}
        best = max((f for f in alive if f.feature_index not in taken), key=merit, default=None)
        if best is not None:
            chosen.append(Choice(best.feature_index, rule))
    return chosen


def token_f1(feature: FeatureStats) -> float:
    """F1 of the best single token as a detector of the feature."""
    pairs = ((token.p_fire_given_token or 0.0, token.p_token_given_fire) for token in feature.top_tokens)
    return max((2 * p * r / (p + r) for p, r in pairs if p + r > 0), default=0.0)


def broad_frequency(feature: FeatureStats) -> float:
    """Frequency of a feature that hangs on no single token, else 0."""
    largest = max((token.p_token_given_fire for token in feature.top_tokens), default=1.0)
    return feature.activation_frequency or 0.0 if largest <= BROAD_TOKEN_SHARE else 0.0


def peak_height(feature: FeatureStats) -> float:
    """(max − mean) / std."""
    if not feature.std_activation or feature.max_activation is None or feature.mean_activation is None:
        return 0.0
    return (feature.max_activation - feature.mean_activation) / feature.std_activation
