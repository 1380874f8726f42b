"""What people read on the terminal: numbers that do not mislead, and text that is the text."""

import datetime as dt
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from featlas.cli.showing import (
    band_text,
    example_line,
    number,
    print_check,
    print_feature_page,
    print_feature_table,
    print_run_header,
    share,
    visible,
)
from featlas.domain import (
    Example,
    FeatureFlag,
    FeatureState,
    FeatureStats,
    Histogram,
    Interval,
    RunState,
    SnapshotHeader,
    Split,
    TokenStat,
)
from featlas.engine.self_check import Alternative, SelfCheck
from featlas.store.runs import Run

WORDS = [f" w{n:02d}" for n in range(40)]
FEATURE = FeatureStats(
    feature_index=7,
    n_fires=1234,
    n_tokens=100_000,
    activation_frequency=0.01234,
    n_contexts_fired=5,
    context_frequency=0.0005,
    mean_activation=1.23456,
    std_activation=0.5,
    max_activation=9.0,
    histogram=Histogram((), ()),
    top_tokens=(TokenStat(3, " [bold]\n", 12, 48, 1.5, 2.25, 0.25, 12 / 1234),),
    flags=FeatureFlag(0),
    n_fires_excluded=2,
    intervals={"activation_frequency": Interval(0.01, 0.02)},
    examples=(),
)
DEAD = replace(
    FEATURE,
    n_fires=0,
    activation_frequency=0.0,
    context_frequency=0.0,
    mean_activation=None,
    std_activation=None,
    max_activation=None,
    top_tokens=(),
    flags=FeatureFlag.DEAD,
    intervals={"activation_frequency": None},
)


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def example_of(tokens: list[str], **changes: Any) -> Example:
    bounds = np.cumsum([0, *map(len, tokens)]).tolist()
    made = Example(
        band="top",
        document=0,
        context=0,
        token_offset=0,
        text="".join(tokens),
        token_spans=tuple(pairwise(bounds)),
        peak=0,
        positions=(0,),
        values=(2.5,),
        max_activation=2.5,
        n_similar=1,
        split=Split.LABEL,
    )
    return replace(made, **changes)


def styled(example: Example, style: str) -> list[str]:
    line = example_line(example)
    return [line.plain[span.start : span.end] for span in line.spans if span.style == style]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0"), (0.12345, "0.123"), (1.0, "1"), (142.26, "142"), (-4.0, "-4"), (1e-7, "1e-07")],
)
def test_a_number_has_three_digits_and_a_missing_one_is_a_dash(value: float | None, shown: str) -> None:
    assert shown == number(value)


def test_fewer_digits_may_be_asked_for() -> None:
    assert "-17" == number(-17.06, 2)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0.0, "0"),
        (1.0, "100.00%"),
        (0.01234, "1.23%"),
        (0.001, "0.10%"),
        (0.00099, "1 in 1,010"),
        (1e-6, "1 in 1,000,000"),
    ],
)
def test_a_rare_share_is_one_in_so_many(value: float | None, shown: str) -> None:
    assert shown == share(value)


def test_white_space_is_shown_as_marks() -> None:
    assert "a↵b⇥c␍ d" == visible("a\nb\tc\r d")


def test_an_example_is_the_text_around_its_peak() -> None:
    line = example_line(example_of(WORDS, peak=20, positions=(20,)))
    assert "".join(WORDS[8:33]) == line.plain[9:]
    assert "     2.5 " == line.plain[:9]


@pytest.mark.parametrize(("peak", "first", "last"), [(0, 0, 13), (39, 27, 40)])
def test_an_example_ends_where_its_context_does(peak: int, first: int, last: int) -> None:
    assert "".join(WORDS[first:last]) == example_line(example_of(WORDS, peak=peak, positions=(peak,))).plain[9:]


def test_the_peak_is_reversed_and_other_firings_are_bold() -> None:
    example = example_of(["a", "b", "c", "b"], peak=1, positions=(1, 3), values=(4.0, 2.0), max_activation=4.0)
    assert ["b"] == styled(example, "reverse")
    assert ["b"] == styled(example, "bold")
    assert example_line(example).plain.endswith("abcb")


def test_a_context_in_which_nothing_fires_has_no_value_and_no_marks() -> None:
    example = example_of(["a", "b", "c"], peak=1, positions=(), values=(), max_activation=None)
    assert "       – abc" == example_line(example).plain
    assert [] == [*styled(example, "reverse"), *styled(example, "bold")]


@pytest.mark.parametrize(("n_similar", "end"), [(1, "ab"), (2, "ab  ×2")])
def test_a_repeated_window_says_how_often_it_occurs(n_similar: int, end: str) -> None:
    assert example_line(example_of(["a", "b"], n_similar=n_similar)).plain.endswith(end)


def test_an_example_is_one_line_and_markup_in_it_is_text() -> None:
    line = example_line(example_of(["[bold]", "\n", "[/x]"]))
    assert line.plain.endswith("[bold]↵[/x]")


def test_the_table_has_a_line_per_feature(capsys: pytest.CaptureFixture[str]) -> None:
    print_feature_table([(f, None) for f in (FEATURE, DEAD, replace(DEAD, flags=FeatureFlag.SINK_ONLY))])
    _, *lines = capsys.readouterr().out.splitlines()
    assert [
        ["7", "1.23%", "1,234", "1.23", "9", "'", "[bold]↵'"],
        ["7", "0", "0", "–", "–", "dead"],
        ["7", "0", "0", "–", "–", "sink", "only"],
    ] == [line.split() for line in lines]


@pytest.mark.parametrize(("flag", "word"), [(FeatureFlag.DENSE, "dense"), (FeatureFlag.NULL, "control")])
def test_flags_are_words(flag: FeatureFlag, word: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_feature_table([(replace(FEATURE, flags=flag), FeatureState(1, FEATURE.feature_index, "its label"))])
    print_feature_page(replace(FEATURE, flags=flag))
    printed = capsys.readouterr().out
    assert 2 == printed.count(word)
    assert f"feature 7 ({word})" in printed
    assert "its label" in printed


def test_every_share_on_the_page_says_of_what(capsys: pytest.CaptureFixture[str]) -> None:
    print_feature_page(FEATURE)
    first, second, third, _, token = (line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert "feature 7" == first
    assert (
        "  fires on 1,234 of 100,000 tokens (1.23%, 95 % interval 1.00% … 2.00%), in 5 contexts (1 in 2,000)" == second
    )
    assert "  mean 1.23, standard deviation 0.5, max 9; 2 firings on excluded positions" == third
    assert ["'", "[bold]↵'", "12", "of", "48", "25.00%", "0.97%", "1.5", "2.25"] == token.split()


def test_the_page_of_a_dead_feature_has_no_table_and_no_interval(capsys: pytest.CaptureFixture[str]) -> None:
    print_feature_page(DEAD)
    assert [
        "feature 7 (dead)",
        "  fires on 0 of 100,000 tokens (0), in 5 contexts (0)",
        "  mean –, standard deviation –, max –; 2 firings on excluded positions",
    ] == capsys.readouterr().out.splitlines()


def test_three_examples_of_each_band_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    top = tuple(example_of([f"top{n}"]) for n in range(5))
    near = tuple(example_of([f"near{n}"], band="near_miss", positions=(), max_activation=None) for n in range(2))
    print_feature_page(replace(DEAD, examples=top + near))
    lines = [line.split()[-1] for line in capsys.readouterr().out.splitlines()[3:]]
    assert ["firings", "top0", "top1", "top2", "miss", "near0", "near1"] == lines


@pytest.mark.parametrize(
    ("band", "text"),
    [
        ("top", "strongest firings"),
        ("uniform", "firings drawn by chance"),
        ("octave:5", "firings from 32 to 64"),
        ("octave:-2", "firings from 0.25 to 0.5"),
        ("near_miss", "near miss"),
        ("non_firing", "non firing"),
    ],
)
def test_a_band_is_told_in_words(band: str, text: str) -> None:
    assert text == band_text(band)


HEADER = SnapshotHeader(
    is_partial=False,
    n_features=80,
    n_documents=10,
    n_contexts=1200,
    n_positions=150_000,
    n_tokens=148_000,
    n_excluded={"bos": 1200, "sink": 800},
    histogram_edges=np.zeros(0),
    quality={
        "l0": 31.96,
        "fvu": 0.2345,
        "fvu_with_sinks": 0.08,
        "n_measured": 9000,
        "n_dead": 2,
        "n_sink_only": 1,
        "n_dense": 3,
        "n_alive": 61,
    },
)
RUN = Run(
    id=4,
    uid="019",
    name="first",
    state=RunState.FINISHED,
    model="a-model",
    sae="an-sae",
    sae_id=1,
    corpus="texts.jsonl",
    hook_point="blocks.7.hook_resid_post",
    n_features=64,
    snapshot_id=1,
    header=HEADER,
    spec={},
    spec_hash="",
    recipe={},
    self_check=None,
    is_forced=False,
    job_id=1,
    created_at=dt.datetime.now(dt.UTC),
    finished_at=None,
)


def test_the_header_says_what_a_run_rests_on(capsys: pytest.CaptureFixture[str]) -> None:
    print_run_header(RUN)
    assert [
        "run 4 first: finished",
        "  model     a-model",
        "  SAE       an-sae, 64 features, at blocks.7.hook_resid_post",
        "  texts     texts.jsonl",
        "  read      10 documents, 1,200 contexts, 150,000 positions",
        "  counted   148,000 positions; excluded: 1,200 bos, 800 sink",
        "  L0        32 features per token",
        "  FVU       0.234 on 9,000 positions (0.08 with sinks)",
        "  features  61 alive, 2 never fired, 1 on excluded positions only, 3 dense (above 10 %)",
    ] == capsys.readouterr().out.splitlines()


def test_a_header_marks_what_is_partial_forced_or_not_yet_there(capsys: pytest.CaptureFixture[str]) -> None:
    partial = replace(HEADER, is_partial=True, n_excluded={"bos": 0, "sink": 0})
    print_run_header(replace(RUN, state=RunState.PENDING, header=partial, is_forced=True))
    first, *_, last = printed = capsys.readouterr().out.splitlines()
    assert "run 4 first: pending (partial)" == first
    assert "  counted   148,000 positions; excluded: none" in printed
    assert "  forced: the self-check refused this SAE" == last
    print_run_header(replace(RUN, state=RunState.PENDING, header=None))
    assert 4 == len(capsys.readouterr().out.splitlines())


CHECK = SelfCheck(
    verdict="refused: reading blocks.8.hook_resid_post explains the text better",
    is_refused=True,
    hook_point="blocks.7.hook_resid_post",
    n_tokens=4100,
    n_sinks=3,
    sink_norm_limit=900.0,
    l0=30.2,
    explained_variance=0.61,
    cosine=0.9,
    dead_share=0.25,
    decoder_norms=(0.5, 1.0, 2.0),
    min_threshold=None,
    claims={"l0": 32.0},
    alternatives=(
        Alternative(
            "reading blocks.8.hook_resid_post", "run with --hook-point blocks.8.hook_resid_post", 0.7, 0.09, 0.01
        ),
        Alternative("scaling the input by 1.4", "give the scale", 0.6, -0.01, 0.0),
    ),
    notes=("a remark",),
)


def test_a_refusal_shows_what_was_tried(capsys: pytest.CaptureFixture[str]) -> None:
    print_check(CHECK.to_json())
    lines = capsys.readouterr().out.splitlines()
    assert f"✗ {CHECK.verdict}" == lines[0]
    assert "  read at              blocks.7.hook_resid_post, 4,100 tokens, 3 sinks left out" == lines[1]
    assert "  decoder norms        0.5 … 1 … 2" in lines
    assert "  silent in sample     25.00%" in lines
    assert "  smallest threshold   –" in lines
    assert "  the files claim      l0 32" in lines
    assert ["reading", "blocks.8.hook_resid_post", "0.7", "+0.090", "9"] in [line.split() for line in lines]
    assert ["scaling", "the", "input", "by", "1.4", "0.6", "-0.010", "–"] in [line.split() for line in lines]
    assert "  note: a remark" == lines[-1]


def test_what_was_not_measurable_is_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    nothing: dict[str, Any] = dict.fromkeys(("l0", "explained_variance", "cosine", "dead_share"))
    print_check(
        replace(CHECK, verdict="too little text", is_refused=False, alternatives=(), claims={}, **nothing).to_json()
    )
    lines = capsys.readouterr().out.splitlines()
    assert "✓ too little text" == lines[0]
    assert ["–"] * 4 == [line.split()[-1] for line in lines[2:6]]
    assert "  the files claim      nothing" in lines
    assert "tried on the same tokens" not in "\n".join(lines)
