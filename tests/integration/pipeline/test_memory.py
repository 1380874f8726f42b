"""A guard of what `make prove` shows at full size: ten times the tokens need no more memory."""

import json
import subprocess
import sys
from pathlib import Path

from tests.builders.stand_in import save_stand_in, save_zipf_tokens


def test_ten_times_the_tokens_need_no_more_memory(tmp_path: Path) -> None:
    shared = {**save_stand_in(tmp_path, d_sae=512), "tokens_field": "tokens", "null_features": 32}
    peaks = {}
    for n in (10_000, 100_000):
        text = save_zipf_tokens(tmp_path / f"{n}.parquet", n)
        (tmp_path / str(n)).mkdir()
        spec = json.dumps({**shared, "text": [str(text)]})
        command = [sys.executable, "-m", "tests.builders.measured_run", spec, str(tmp_path / str(n))]
        found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        peaks[n] = found["peak"]
        print(f"{n:,} tokens: {found}")
    assert peaks[100_000] <= 1.2 * peaks[10_000]
