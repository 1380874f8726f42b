"""Converts a model file in a process of its own, for a test to kill; takes the file and the cache folder."""

import sys
from pathlib import Path

from featlas.sources import packaged_model


def main() -> None:
    gguf, cache = map(Path, sys.argv[1:])
    packaged_model.find_gguf = lambda: gguf
    print("ready", flush=True)
    print(packaged_model.converted_model(cache), flush=True)


if __name__ == "__main__":
    main()
