"""Mutation testing of the statistics and the query language: change the code a little and see whether a test notices.

Runs mutmut (configured in pyproject.toml), prints the share of killed mutants and every survivor with its change, and
fails under 85 %. Arguments are mutmut's mutant name patterns, such as `featlas.core.hashing*`.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

MIN_KILLED_SHARE = 0.85
MUTANTS = Path("mutants")
MUTMUT = str(Path(sys.executable).with_name("mutmut"))
KILLED = {1, 3, 36, -24, 24, 152, 255}  # failed, crashed, or ran into the time limit
NOT_RUN = {None, 2}


@dataclass(frozen=True)
class Tally:
    """Mutants by outcome; `survivors` and `uncovered` are names."""

    n_killed: int
    survivors: list[str]
    uncovered: list[str]
    n_not_run: int

    @property
    def n_judged(self) -> int:
        """Mutants that count: those that no test reaches count as survivors."""
        return self.n_killed + len(self.survivors) + len(self.uncovered)

    @property
    def killed_share(self) -> float:
        """Killed / judged; 0 when nothing was judged."""
        return self.n_killed / self.n_judged if self.n_judged else 0.0


def count_outcomes(folder: Path, patterns: list[str]) -> Tally:
    """Read mutmut's verdicts (one .meta file per source file) for mutants that match any of the patterns."""
    exit_codes: dict[str, int | None] = {}
    for path in sorted(folder.rglob("*.meta")):
        exit_codes |= json.loads(path.read_text())["exit_code_by_key"]
    if patterns:
        exit_codes = {name: code for name, code in exit_codes.items() if _matches(name, patterns)}
    return Tally(
        n_killed=sum(code in KILLED for code in exit_codes.values()),
        survivors=[name for name, code in exit_codes.items() if code not in KILLED | NOT_RUN | {5, 33}],
        uncovered=[name for name, code in exit_codes.items() if code in (5, 33)],
        n_not_run=sum(code in NOT_RUN for code in exit_codes.values()),
    )


def _matches(name: str, patterns: list[str]) -> bool:
    return any(Path(name).match(pattern) for pattern in patterns)


def main() -> int:
    """Run mutmut, print the verdict; 1 under the bar or when mutmut itself failed."""
    patterns = sys.argv[1:]
    if not patterns:
        shutil.rmtree(MUTANTS, ignore_errors=True)  # mutmut keeps old verdicts, even those that new tests would change
    status = subprocess.run([MUTMUT, "run", "--max-children", "2", *patterns], check=False).returncode
    if status != 0:
        print(f"mutants: mutmut failed with status {status}; set `debug = true` under [tool.mutmut] to see why")
        return 1
    tally = count_outcomes(MUTANTS, patterns)
    for name in tally.survivors:
        print(subprocess.run([MUTMUT, "show", name], capture_output=True, text=True, check=False).stdout)
    for name in tally.uncovered:
        print(f"no test reaches {name}")
    print(f"{len(tally.survivors)} survived, {len(tally.uncovered)} reached by no test, {tally.n_not_run} not run")
    share = f"{tally.n_killed} of {tally.n_judged} killed, {tally.killed_share:.1%}"
    print(f"mutants: {share}; the bar is {MIN_KILLED_SHARE:.0%}")
    return 0 if tally.killed_share >= MIN_KILLED_SHARE and tally.n_not_run == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
