"""How long people wait for the page over 131,072 features, in a real browser: published, guarded at five times."""

from pathlib import Path

from tests.builders.wide_run import N_CONTEXTS, N_FEATURES
from tests.e2e.page_speed import LIMITS_MS, find_slow, load_of_machine, make_home, measure_folder, measure_page
from tools.record import save_record

from featlas.entry.web import UI_FOLDER

N_TIMES = 15


def test_first_paint_brush_filter_next_and_examples(tmp_path: Path) -> None:
    featlas, wide = make_home(tmp_path / "home", N_FEATURES, N_CONTEXTS)
    before = load_of_machine()
    times = measure_page(featlas, wide, N_TIMES)
    figures = {key: value for name, found in times.items() for key, value in found.figures(name).items()}
    settings = {
        "n_features": wide.n_features,
        "n_labeled": wide.n_labeled,
        "n_times": N_TIMES,
        "limits_ms": LIMITS_MS,
        "load_before": before,
        "load_after": load_of_machine(),
    }
    print(figures, settings)
    save_record("page-speed", {**figures, **measure_folder(UI_FOLDER)}, settings=settings)
    assert find_slow(times) == {}
