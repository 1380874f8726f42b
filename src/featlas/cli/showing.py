"""How runs, features and checks look on a terminal; every number with what it is a share of."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from featlas.cli.terminal import result_console
from featlas.domain import Example, FeatureFlag, FeatureState, FeatureStats, Label, TokenStat
from featlas.store.runs import Run

FLAG_WORDS = {
    FeatureFlag.DEAD: "dead",
    FeatureFlag.DENSE: "dense",
    FeatureFlag.SINK_ONLY: "sink only",
    FeatureFlag.NULL: "control",
    FeatureFlag.DUPLICATE: "duplicate",
}
SNIPPET_TOKENS = 12
EXAMPLES_PER_BAND = 3


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits; a missing one is a dash."""
    return "–" if value is None else f"{value:.{digits}g}"


def share(value: float | None) -> str:
    """A frequency: a percentage where that can be read, else one in so many."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    return f"{value:.2%}" if value >= 0.001 else f"1 in {1 / value:,.0f}"


def visible(text: str) -> str:
    """Text on one line: newlines and tabs as marks."""
    return text.replace("\n", "↵").replace("\t", "⇥").replace("\r", "␍")


def quoted(token: str) -> str:
    """A token in quotes, so that a leading space can be seen."""
    return repr(visible(token))


def state_line(state: FeatureState) -> str:
    """What is in force for a feature, in a sentence."""
    if state.current_label_id is None:
        return f"feature {state.feature_index} has no label in force"
    return f"feature {state.feature_index}: {state.semantic_label} ({state.label_source}, {state.review_state})"


def print_run_header(run: Run) -> None:
    """What a run rests on, and how well the SAE does on it."""
    console = result_console()
    state = "" if run.header is None else (" (partial)" if run.header.is_partial else "")
    console.print(f"run {run.id} {run.name}: {run.state}{state}", style="bold", soft_wrap=True)
    console.print(f"  model     {run.model}", soft_wrap=True)
    console.print(f"  SAE       {run.sae}, {run.n_features:,} features, at {run.hook_point}", soft_wrap=True)
    console.print(f"  texts     {run.corpus}", soft_wrap=True)
    header = run.header
    if header is None:
        return
    quality = header.quality or {}
    excluded = ", ".join(f"{n:,} {cause}" for cause, n in header.n_excluded.items() if n) or "none"
    n_dead, n_dense, n_sink_only = (quality.get(name, 0) for name in ("n_dead", "n_dense", "n_sink_only"))
    read = f"{header.n_documents:,} documents, {header.n_contexts:,} contexts, {header.n_positions:,} positions"
    console.print(f"  read      {read}", soft_wrap=True)
    console.print(f"  counted   {header.n_tokens:,} positions; excluded: {excluded}", soft_wrap=True)
    console.print(f"  L0        {number(quality.get('l0'))} features per token")
    console.print(
        f"  FVU       {number(quality.get('fvu'))} on {quality.get('n_measured'):,} positions"
        f" ({number(quality.get('fvu_with_sinks'))} with sinks)",
        soft_wrap=True,
    )
    console.print(
        f"  features  {quality.get('n_alive'):,} alive, {n_dead:,} never fired, "
        f"{n_sink_only:,} on excluded positions only, {n_dense:,} dense (above 10 %)",
        soft_wrap=True,
    )
    if run.is_forced:
        console.print("  forced: the self-check refused this SAE", style="red")


def print_feature_table(features: Sequence[tuple[FeatureStats, FeatureState | None]]) -> None:
    """A line per feature, with its label where there is one."""
    table = Table("feature", "frequency", "fires", "mean", "max", "flags", box=None, pad_edge=False)
    table.add_column("label", overflow="ellipsis", no_wrap=True, max_width=40)
    table.add_column("top tokens")
    for column in (0, 1, 2, 3, 4):
        table.columns[column].justify = "right"
    for feature, state in features:
        tokens = "  ".join(quoted(token.token) for token in feature.top_tokens[:6])
        table.add_row(
            str(feature.feature_index),
            share(feature.activation_frequency),
            f"{feature.n_fires:,}",
            number(feature.mean_activation),
            number(feature.max_activation),
            ", ".join(word for flag, word in FLAG_WORDS.items() if feature.flags & flag),
            Text((state and state.semantic_label) or ""),
            Text(tokens, overflow="ellipsis", no_wrap=True),
        )
    result_console().print(table)


def print_feature_page(feature: FeatureStats, label: Label | None = None) -> None:
    """Everything of one feature that fits on a screen or two; `label` is the one in force."""
    console = result_console()
    flags = ", ".join(word for flag, word in FLAG_WORDS.items() if feature.flags & flag)
    console.print(f"feature {feature.feature_index}" + (f" ({flags})" if flags else ""), style="bold")
    if label is not None:
        category = f"  ({label.category_label})" if label.category_label else ""
        console.print(Text(f"  {label.semantic_label}{category}"), soft_wrap=True)
        console.print(Text(f"  {label.source}, {label.review_state}. {label.explanation or ''}", "dim"), soft_wrap=True)
    interval = feature.intervals.get("activation_frequency")
    between = f", 95 % interval {share(interval.low)} … {share(interval.high)}" if interval else ""
    console.print(
        f"  fires on {feature.n_fires:,} of {feature.n_tokens:,} tokens ({share(feature.activation_frequency)}"
        f"{between}), in {feature.n_contexts_fired:,} contexts ({share(feature.context_frequency)})",
        soft_wrap=True,
    )
    console.print(
        f"  mean {number(feature.mean_activation)}, standard deviation {number(feature.std_activation)}, "
        f"max {number(feature.max_activation)}; {feature.n_fires_excluded:,} firings on excluded positions",
        soft_wrap=True,
    )
    if feature.top_tokens:
        console.print(_token_table(feature.top_tokens[:10]))
    last_band, shown = "", 0
    for example in feature.examples or ():
        shown = shown + 1 if example.band == last_band else 1
        if example.band != last_band:
            console.print(band_text(example.band), style="bold")
        last_band = example.band
        if shown <= EXAMPLES_PER_BAND:
            console.print(example_line(example), no_wrap=True, overflow="ellipsis", crop=True)


def band_text(band: str) -> str:
    """What the examples of a band have in common: `octave:5` holds strengths from 32 to 64."""
    name, _, power = band.partition(":")
    if power:
        return f"firings from {2.0 ** int(power):g} to {2.0 ** (int(power) + 1):g}"
    return {"top": "strongest firings", "uniform": "firings drawn by chance"}.get(name, name.replace("_", " "))


def _token_table(tokens: Sequence[TokenStat]) -> Table:
    table = Table("token", "fires", "of its occurrences", "of all firings", "mean", "max", box=None, pad_edge=False)
    for token in tokens:
        table.add_row(
            Text(quoted(token.token)),
            f"{token.n_fires:,} of {token.n_occurrences:,}",
            share(token.p_fire_given_token),
            share(token.p_token_given_fire),
            number(token.mean_activation),
            number(token.max_activation),
        )
    return table


def example_line(example: Example) -> Text:
    """The tokens around the peak, those that fire in bold, the peak reversed."""
    line = Text("  ")
    line.append(f"{number(example.max_activation):>6} " if example.max_activation is not None else "     – ", "dim")
    first = max(0, example.peak - SNIPPET_TOKENS)
    last = min(len(example.token_spans), example.peak + SNIPPET_TOKENS + 1)
    firing = set(example.positions)
    for position in range(first, last):
        start, end = example.token_spans[position]
        style = "reverse" if position == example.peak and firing else "bold" if position in firing else ""
        line.append(visible(example.text[start:end]), style)
    if example.n_similar > 1:
        line.append(f"  ×{example.n_similar}", "dim")
    return line


def print_check(found: dict[str, Any]) -> None:
    """The self-check's verdict and the figures behind it."""
    console = result_console()
    console.print(f"{'✗' if found['is_refused'] else '✓'} {found['verdict']}", style="bold", soft_wrap=True)
    read = f"{found['n_tokens']:,} tokens, {found['n_sinks']} sinks left out"
    console.print(f"  read at              {found['hook_point']}, {read}", soft_wrap=True)
    norms = found["decoder_norms"]
    rows = {
        "L0": number(found["l0"]),
        "explained variance": number(found["explained_variance"]),
        "cosine": number(found["cosine"]),
        "silent in sample": share(found["dead_share"]),
        "decoder norms": f"{number(norms['min'])} … {number(norms['median'])} … {number(norms['max'])}",
        "smallest threshold": number(found["min_threshold"]),
        "the files claim": ", ".join(f"{name} {number(value)}" for name, value in found["claims"].items()) or "nothing",
    }
    for name, value in rows.items():
        console.print(f"  {name:<20} {value}", soft_wrap=True)
    if found["alternatives"]:
        table = Table("tried on the same tokens", "explained variance", "gain", "standard errors", box=None)
        for other in found["alternatives"]:
            errors = other["gain"] / other["standard_error"] if other["standard_error"] else None
            row = (other["mistake"], number(other["explained_variance"]), f"{other['gain']:+.3f}", number(errors, 2))
            table.add_row(*row, style="red" if other["is_better"] else "")
        console.print(table)
    for note in found["notes"]:
        console.print(f"  note: {note}", soft_wrap=True)
