"""Runs an extraction and measures its memory: `python -m tests.builders.measured_run SPEC FOLDER` prints JSON.

The figure is anonymous memory (what the program itself holds; pages of files that the system may drop do not count),
beyond what was held when model and SAE were loaded and before the first text was read.
"""

import json
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path

from tests.integration.pipeline.workbench import Workbench

from featlas.pipeline.extract import run_extraction
from featlas.specs import ExtractSpec
from featlas.store.session import Store

EVERY_S = 0.02


def anonymous_bytes() -> int:
    """Anonymous memory of this process."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as lines:
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Anonymous:"))


class PeakByPhase:
    """A progress that notes the most memory held in each phase, sampled by a thread."""

    def __init__(self) -> None:
        self.base = 0
        self.peaks: dict[str, int] = defaultdict(int)
        self._phase = "opening"
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def phase(self, name: str, total: int | None = None, unit: str = "", *, done: int = 0) -> None:
        if self._phase == "loading the model":
            self.base = anonymous_bytes()
        self._phase = name

    def advance(self, n: int = 1, **figures: float) -> None:
        """Counts do not matter here."""

    def end(self) -> None:
        self._is_over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._is_over.wait(EVERY_S):
            phase = self._phase
            self.peaks[phase] = max(self.peaks[phase], anonymous_bytes())


def main() -> None:
    folder = Path(sys.argv[2])
    spec = ExtractSpec.model_validate_json(sys.argv[1])
    store = Store.open(f"sqlite:///{folder / 'featlas.db'}")
    bench = Workbench(folder, store)
    progress = PeakByPhase()
    started = time.monotonic()
    result = run_extraction(spec, bench.context(bench.enqueue(spec), progress))
    progress.end()
    store.close()
    beyond = {
        name: peak - progress.base for name, peak in progress.peaks.items() if not name.startswith(("op", "load"))
    }
    found = {"n_tokens": result["n_tokens"], "l0": result["l0"], "seconds": time.monotonic() - started}
    print(json.dumps({**found, "base": progress.base, "peak": max(beyond.values()), "phases": beyond}))


if __name__ == "__main__":
    main()
