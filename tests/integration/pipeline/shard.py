"""Makes blocks of a begun run in a process of its own: `python -m tests.integration.pipeline.shard SPEC FOLDER N …`."""

import sys
from pathlib import Path

from tests.integration.pipeline.workbench import open_for_pass

from featlas.pipeline.block_pass import run_blocks
from featlas.pipeline.progress import NeverStop, NoProgress
from featlas.specs import ExtractSpec


def main() -> None:
    spec = ExtractSpec.model_validate_json(sys.argv[1])
    plan, model, target = open_for_pass(spec, Path(sys.argv[2]))
    run_blocks(plan, [int(block) for block in sys.argv[3:]], model, target, NoProgress(), NeverStop())


if __name__ == "__main__":
    main()
