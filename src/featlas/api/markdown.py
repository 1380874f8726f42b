"""A feature as Markdown, for a paper, an issue or a chat: numbers with their denominators, and where they are from."""

from collections.abc import Iterator

from featlas.api import schemas
from featlas.domain import FeatureStats
from featlas.store.runs import Run

N_TOKENS, N_EXAMPLES = 10, 3


def write_markdown(
    run: Run, stats: FeatureStats, label: schemas.Label | None, bands: list[schemas.BandExamples]
) -> str:
    """The text, ending in a newline."""
    return "\n".join(_lines(run, stats, label, bands)) + "\n"


def _lines(
    run: Run, stats: FeatureStats, label: schemas.Label | None, bands: list[schemas.BandExamples]
) -> Iterator[str]:
    title = f": {_inline(label.semantic_label)}" if label and label.semantic_label else ""
    yield f"### Feature {stats.feature_index}{title}"
    yield ""
    yield f"SAE {run.sae} at {run.hook_point} of {run.model}; run {run.name} ({run.uid}) over {run.corpus}."
    yield ""
    yield f"- fires on {stats.n_fires:,} of {stats.n_tokens:,} tokens{_share(stats.activation_frequency)}"
    if stats.n_fires:
        mean, std, largest = stats.mean_activation, stats.std_activation, stats.max_activation
        yield f"- activation: mean {mean:.4g}, std {std:.4g}, max {largest:.4g}"
    if label and label.semantic_label:
        by = label.created_by or label.provider or str(label.source)
        yield f"- label by {label.source} ({_inline(by)}), {label.review_state}"
    yield from _token_table(stats)
    top = next((band for band in bands if band.band == "top"), None)
    if top is not None and top.items:
        yield ""
        yield f"Strongest examples ({min(N_EXAMPLES, len(top.items))} of {top.n_in_band:,} contexts that it fires in):"
        yield ""
        for example in top.items[:N_EXAMPLES]:
            yield f"- {example.max_activation:.4g}: {_example(example.content)}"


def _token_table(stats: FeatureStats) -> Iterator[str]:
    if not stats.top_tokens:
        return
    yield ""
    yield "| token | fires | of its occurrences | of the firings |"
    yield "|---|---|---|---|"
    for token in stats.top_tokens[:N_TOKENS]:
        precision = "–" if token.p_fire_given_token is None else f"{token.p_fire_given_token:.1%}"
        yield f"| {_code(token.token)} | {token.n_fires:,} | {precision} | {token.p_token_given_fire:.1%} |"


def _example(content: schemas.TokenText, n_around: int = 12) -> str:
    """The peak in bold with some segments around it, on one line."""
    peak = content.peak_segment
    starts = [0, *content.ends[:-1]]
    units = content.text.encode("utf-16-le", errors="surrogatepass")
    first, last = max(peak - n_around, 0), min(peak + n_around, len(content.ends) - 1)

    def cut(start: int, end: int) -> str:
        return _inline(units[2 * start : 2 * end].decode("utf-16-le", errors="replace"))

    before, after = cut(starts[first], starts[peak]), cut(content.ends[peak], content.ends[last])
    middle = cut(starts[peak], content.ends[peak])
    bold = middle.strip()
    # Markdown knows no bold that begins or ends with a space.
    return before + (middle.replace(bold, f"**{bold}**", 1) if bold else f"**{middle}**") + after


def _inline(text: str | None) -> str:
    """Text in which nothing is Markdown, on one line."""
    escaped = "".join(f"\\{character}" if character in r"\`*_{}[]<>#|" else character for character in text or "")
    return escaped.replace("\r", "").replace("\n", " ↵ ")


def _code(token: str) -> str:
    shown = token.replace("\n", "↵").replace("|", "\\|").replace("\r", "␍").replace("\t", "⇥")
    ticks = "``" if "`" in shown else "`"
    return f"{ticks}{shown if shown.strip() else '␣' * len(shown)}{ticks}"


def _share(value: float | None) -> str:
    return "" if value is None else f" ({value:.3%})"
