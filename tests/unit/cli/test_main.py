"""The boundary of the command line: arguments become Specs, and every failure a sentence and an exit code."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from featlas import errors
from featlas.cli.main import app, main
from featlas.errors import FeatlasError
from featlas.specs import CheckSpec, ExtractSpec, Spec, TrainSpec

EXTRACT = ("extract", "--model", "m", "--sae", "s", "--text", "t")
TRAIN = ("train", "--model", "m", "--text", "t", "--hook-point", "h", "--out", "o")

Raise = Callable[[BaseException], None]


@pytest.fixture
def run_raising() -> Iterator[Raise]:
    """Runs `main` on a command that fails in this way."""

    def run(error: BaseException) -> None:
        def fail() -> int:
            raise error

        app.command(fail, name="fail")
        main(["fail"])

    yield run
    del app["fail"]


def exit_code(*argv: str) -> object:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    return ended.value.code


def spec_of(*argv: str) -> Spec:
    _, bound, _ = app.parse_args(argv, exit_on_error=False, print_error=False)
    return bound.arguments["spec"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((*EXTRACT, "--ctx-len", "0"), "--ctx-len '0': input should be greater than or equal to 1"),
        ((*EXTRACT, "--ctx-len", "x"), "--ctx-len 'x': input should be a valid integer"),
        ((*EXTRACT, "--packing", "tight"), "--packing 'tight': input should be 'document' or 'packed'"),
        ((*EXTRACT, "--sink-norm-ratio", "many"), "--sink-norm-ratio 'many': input should be a valid number"),
        ((*EXTRACT, "--threshold", "nan"), "--threshold 'nan': input should be a finite number"),
        ((*TRAIN, "--held-out", "1"), "--held-out '1': input should be less than 1"),
        (("check", *EXTRACT[1:], "--tokens", "0"), "--tokens '0': input should be greater than or equal to 1"),
        ((*EXTRACT, "--ctx-lenn", "3"), "Unknown option: --ctx-lenn. Did you mean --ctx-len?"),
        (EXTRACT[:-2], "--text"),
        (("features", "1", "--limit", "x"), "--limit"),
        ((*EXTRACT, "--threshold", "inf"), "--threshold 'inf': input should be a finite number"),
        ((*EXTRACT, "--sink-norm-ratio", "nan"), "--sink-norm-ratio 'nan': input should be a finite number"),
        ((*EXTRACT, "--sink-norm-ratio", "0"), "--sink-norm-ratio '0': input should be greater than 0"),
        ((*TRAIN, "--sink-norm-ratio", "-1"), "--sink-norm-ratio '-1': input should be greater than 0"),
        ((*EXTRACT, "--seed", str(2**63)), f"--seed '{2**63}': input should be less than {2**63}"),
        (
            (*EXTRACT, "--null-features", "99999999"),
            "--null-features '99999999': input should be less than or equal to",
        ),
        ((*EXTRACT, "--name", "12"), "--name '12': digits alone mean a run's number; add a letter"),
        ((*EXTRACT, "--name", "a\nb"), r"--name 'a\nb': a name has no space at its ends, and no line breaks"),
        ((*EXTRACT, "--name", " a"), "--name ' a': a name has no space at its ends"),
        ((*EXTRACT[:-1], ""), "--text '': string should have at least 1 character"),
        (("extract", "--model", "", *EXTRACT[3:]), "--model '': string should have at least 1 character"),
        ((*EXTRACT[:3], "--sae", "", *EXTRACT[5:]), "--sae '': string should have at least 1 character"),
        (("extract", *EXTRACT[3:]), "extract needs --model; see `featlas extract --help`"),
        ((*EXTRACT, "--tokens"), "--tokens needs a value; see `featlas extract --help`"),
        (("features",), "features needs RUN; see `featlas features --help`"),
        (("features", "1", "--limit", "1.5"), "--limit '1.5': expected a whole number"),
        (("feature", "1", "x"), "argument 'x': expected a whole number"),
        (("feature", "1", "1.5"), "argument '1.5': expected a whole number"),
        (("feature", "1"), "feature needs INDEX; see `featlas feature --help`"),
        (("feature", "1", "2", "3"), "more arguments than expected: '3'"),
        (("jobs", "show", "x"), "argument 'x': expected a whole number"),
        (("jobs", "show"), "jobs show needs JOB; see `featlas jobs show --help`"),
        (("demo", "--tokens", "0"), 'Invalid value "0" for --tokens. Must be >= 1.'),
        (("nosuch",), 'Unknown command "nosuch"'),
    ],
)
def test_a_wrong_argument_is_named(argv: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == exit_code(*argv)
    printed = capsys.readouterr()
    assert "" == printed.out
    assert printed.err.startswith("featlas: ")
    assert message in printed.err
    assert 1 == len(printed.err.splitlines())


def test_every_wrong_option_is_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == exit_code(*EXTRACT, "--ctx-len", "0", "--batch-size", "0")
    printed = capsys.readouterr().err
    assert "--ctx-len '0'" in printed
    assert "--batch-size '0'" in printed


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FeatlasError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_of_ours_is_its_message_and_its_code(
    kind: type[FeatlasError], run_raising: Raise, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_raising(kind("what happened; what to do"))
    printed = capsys.readouterr()
    assert (kind.exit_code, "", "featlas: what happened; what to do\n") == (ended.value.code, printed.out, printed.err)


def test_a_message_of_several_lines_is_told_in_one(run_raising: Raise, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_raising(FeatlasError("what a library says:\n(1) this,\n\n  (2) that; what to do"))
    assert "featlas: what a library says: (1) this, (2) that; what to do\n" == capsys.readouterr().err


def test_exit_codes_are_those_of_the_contract() -> None:
    assert {
        "FeatlasError": 1,
        "InputError": 2,
        "NotFoundError": 3,
        "ConflictError": 4,
        "ExternalError": 5,
        "DatabaseUnreachable": 5,
        "JobCancelled": 130,
        "JobPaused": 130,
        "JobHandedBack": 130,
    } == {kind.__name__: kind.exit_code for kind in KINDS}


def test_an_interrupt_is_code_130(run_raising: Raise, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_raising(KeyboardInterrupt())
    assert 130 == ended.value.code
    assert "Traceback" not in capsys.readouterr().err


def test_a_mistake_of_ours_is_a_sentence_and_its_traceback_a_file(
    run_raising: Raise, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        run_raising(ZeroDivisionError("nothing to divide by"))
    (saved,) = tmp_path.iterdir()
    printed = capsys.readouterr().err
    assert 1 == ended.value.code
    assert f"featlas: unexpected ZeroDivisionError: nothing to divide by; the traceback is in {saved}\n" == printed
    assert "Traceback (most recent call last)" in saved.read_text()
    assert "ZeroDivisionError: nothing to divide by" in saved.read_text()


SAYS_WITH = "from featlas.cli.main import app, main; {}; app.command(lambda: {}, name='say'); main(['say'])"
SAYS = [
    pytest.param(SAYS_WITH.format("", "print('x')").replace("; ;", ";"), id="print"),
    pytest.param(
        SAYS_WITH.format("from featlas.cli.terminal import result_console", "result_console().print('x')"), id="rich"
    ),
]


@pytest.mark.parametrize("script", SAYS)
def test_output_that_finds_no_room_is_an_external_error(script: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", script], stdout=full, stderr=subprocess.PIPE, check=False, timeout=120
        )
    message = b"featlas: no space left to write the output; make room\n"
    assert (errors.ExternalError.exit_code, message) == (done.returncode, done.stderr)


@pytest.mark.parametrize("script", SAYS)
@pytest.mark.parametrize("buffering", [["-u"], []], ids=["at once", "at the end"])
def test_a_reader_who_leaves_is_no_error(script: str, buffering: list[str]) -> None:
    """As in `featlas … | head`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, *buffering, "-c", script], stdout=writing, stderr=subprocess.PIPE, check=False, timeout=120
        )
    finally:
        os.close(writing)
    assert (0, b"") == (done.returncode, done.stderr)


def test_help_loads_no_framework() -> None:
    script = """
import sys
from featlas.cli.main import main
try:
    main(["extract", "--help"])
except SystemExit as ended:
    assert not ended.code
print([name for name in ("torch", "transformers", "sqlalchemy", "pyarrow", "numpy") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    assert "[]" == done.stdout.splitlines()[-1]
    assert "--sink-norm-ratio" in done.stdout


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (EXTRACT, ExtractSpec(model="m", sae="s", text=("t",))),
        (("check", *EXTRACT[1:]), CheckSpec(model="m", sae="s", text=("t",))),
        (TRAIN, TrainSpec(model="m", text=("t",), hook_point="h", out="o")),
    ],
)
def test_defaults_are_those_of_the_specs(argv: tuple[str, ...], expected: Spec) -> None:
    assert expected == spec_of(*argv)


def test_several_texts_follow_one_option() -> None:
    spec = spec_of("extract", "--text", "a", "b", "c", "--model", "m", "--sae", "s")
    assert ("a", "b", "c") == spec.text  # type: ignore[attr-defined]


@pytest.mark.parametrize(("given", "ratio"), [("off", None), ("12.5", 12.5)])
def test_the_sink_rule_can_be_switched_off(given: str, ratio: float | None) -> None:
    assert ratio == spec_of(*EXTRACT, "--sink-norm-ratio", given).sink_norm_ratio  # type: ignore[attr-defined]


def test_a_query_may_begin_with_a_dash_and_have_several_words() -> None:
    _, bound, _ = app.parse_args(
        ["features", "first", "-is:dead", "density:1e-4..1e-2", "--sort", "-max_activation", "--limit", "3", "--json"]
    )
    assert ("first", "-is:dead", "density:1e-4..1e-2") == bound.args
    assert {"sort": "-max_activation", "limit": 3, "as_json": True} == bound.kwargs


def test_an_index_may_be_negative_so_that_it_can_be_refused_by_name() -> None:
    _, bound, _ = app.parse_args(["feature", "first", "-1"])
    assert ("first", -1) == bound.args
