"""The `featlas` command: every subcommand, and the boundary where errors become messages and exit codes."""

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import Annotated

import cyclopts
import pydantic
from cyclopts import App, Parameter, validators

import featlas
from featlas.cli.arguments import Json, RunRef, Whole
from featlas.cli.labels import labels, providers
from featlas.cli.reviews import review
from featlas.cli.templates import templates
from featlas.cli.tokens import tokens
from featlas.errors import ExternalError, FeatlasError, InputError
from featlas.specs import (
    QUEUES,
    CheckSpec,
    CorrelateSpec,
    DirectionOptions,
    ExtractSpec,
    LabelOptions,
    LabelSpec,
    TrainSpec,
)

INTERRUPTED = 130
NO_OPTIONS = LabelOptions()
USUAL_DIRECTIONS = DirectionOptions()

app = App(
    name="featlas",
    help="What does each feature of this sparse autoencoder mean?",
    version=featlas.__version__,
    default_parameter=Parameter(negative=()),
    result_action="return_value",
)
jobs = App(name="jobs", help="Work in progress: list, look at, cancel, pause, resume.")
db = App(name="db", help="The database: its schema, copies and backups.")
app.command(jobs)
app.command(labels)
app.command(review)
app.command(templates)
app.command(providers)
app.command(tokens)
app.command(db)

Job = Annotated[Whole, Parameter(help="The job's number, as `featlas jobs ls` lists it.", allow_leading_hyphen=True)]
FromSpec = Parameter(name="*", consume_multiple=True)


def _described(field: str) -> str:
    """What the spec says of one of its fields."""
    return LabelSpec.model_fields[field].description or ""


def _of_correlation(field: str) -> str:
    return CorrelateSpec.model_fields[field].description or ""


@app.command
def extract(
    *,
    spec: Annotated[ExtractSpec, FromSpec],
    reuse: Annotated[
        bool, Parameter(help="Return the finished run of the same spec and inputs, if there is one.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Run a model and an SAE over texts and describe every feature.

    The spec of an unfinished run resumes it; that of a finished one makes a new run.
    """
    from featlas.cli.extracting import run_extract

    return run_extract(spec, reuse=reuse, as_json=as_json)


@app.command
def check(*, spec: Annotated[CheckSpec, FromSpec], as_json: Json = False) -> int:
    """Ask whether an SAE is read at the right place in the right way, before a long run. Exit code 2: refused."""
    from featlas.cli.extracting import run_self_check

    return run_self_check(spec, as_json=as_json)


@app.command
def train(*, spec: Annotated[TrainSpec, FromSpec], as_json: Json = False) -> int:
    """Train an SAE on a model's activations, streaming, and write it in SAELens format with a training card."""
    from featlas.cli.extracting import run_train

    return run_train(spec, as_json=as_json)


@app.command
def runs(*, as_json: Json = False) -> int:
    """List the runs, newest first."""
    from featlas.cli.browsing import print_runs

    return print_runs(as_json=as_json)


@app.command(usage="Usage: featlas features [OPTIONS] RUN [QUERY...]")
def features(
    run: Annotated[str, Parameter(help="Number, name or start of the uid of a run.")],
    /,
    *query: Annotated[str, Parameter(allow_leading_hyphen=True, help="Filter, as in: -is:dead density:1e-4..1e-2")],
    sort: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="Column, descending with a dash: -max_activation")
    ] = "",
    limit: Annotated[Whole | None, Parameter(help="Most features to print; all by default.")] = None,
    as_json: Json = False,
) -> int:
    """List the features that a query matches, most frequent first."""
    from featlas.cli.browsing import print_features

    return print_features(run, " ".join(query), sort=sort, limit=limit, as_json=as_json)


@app.command
def feature(
    run: Annotated[str, Parameter(help="Number, name or start of the uid of a run.")],
    index: Annotated[Whole, Parameter(help="The feature's index, 0 … d_sae − 1.", allow_leading_hyphen=True)],
    /,
    *,
    as_json: Json = False,
) -> int:
    """Show everything of one feature, with its examples."""
    from featlas.cli.browsing import print_feature

    return print_feature(run, index, as_json=as_json)


@app.command(usage="Usage: featlas label [OPTIONS] RUN")
def label(
    run: RunRef,
    /,
    *,
    query: Annotated[str, Parameter(allow_leading_hyphen=True, help=_described("query"))] = "",
    rules: Annotated[bool, Parameter(negative="--no-rules", help=_described("rules"))] = True,
    options: Annotated[LabelOptions, FromSpec] = NO_OPTIONS,
    estimate: Annotated[bool, Parameter(help="Say what it would take, and ask nobody.")] = False,
    as_json: Json = False,
) -> int:
    """Give the features of a finished run labels; what people labeled stays theirs."""
    from featlas.cli.labeling import run_label

    request = {**options.model_dump(exclude_unset=True), "run": run, "query": query, "rules": rules}
    return run_label(request, estimate_only=estimate, as_json=as_json)


@app.command(usage="Usage: featlas directions [OPTIONS] RUN")
def directions(
    run: RunRef, /, *, options: Annotated[DirectionOptions, FromSpec] = USUAL_DIRECTIONS, as_json: Json = False
) -> int:
    """Ask a run's SAE what its weights say by themselves: tokens, nearest features and a map.

    Once for an SAE and a model; `featlas feature` shows it then. A later one takes the place of the last.
    """
    from featlas.cli.directing import run_directions

    return run_directions({**options.model_dump(), "run": run}, as_json=as_json)


@app.command(usage="Usage: featlas correlate [OPTIONS] RUN")
def correlate(
    run: RunRef,
    /,
    *,
    unit: Annotated[str, Parameter(help=_of_correlation("unit"))] = "token",
    partners: Annotated[
        Whole, Parameter(help=_of_correlation("partners"), validator=validators.Number(gte=1, lte=1000))
    ] = 20,
    features: Annotated[
        str, Parameter(allow_leading_hyphen=True, help="For --matrix: indices of features, as in 3,7,9.")
    ] = "",
    method: Annotated[str, Parameter(help="For --matrix: cosine, pearson, spearman or jaccard.")] = "pearson",
    matrix: Annotated[
        bool, Parameter(help="Print how the chosen features go together, each with each, and store nothing.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Find which features of a finished run go together: partners of all, or the matrix of a few."""
    from featlas.cli.correlating import print_matrix, run_correlate

    if matrix:
        return print_matrix(run, features, method=method, unit=unit, as_json=as_json)
    if features:
        raise InputError("--features goes with --matrix; without both, the partners of all features are computed")
    return run_correlate({"run": run, "unit": unit, "partners": partners}, as_json=as_json)


@app.command
def demo(
    *,
    tokens: Annotated[
        Whole, Parameter(help="Positions of the demo corpus to read.", validator=validators.Number(gte=1))
    ] = 200_000,
    serve: Annotated[
        bool, Parameter(negative="--no-serve", help="Serve the web page at the end, until Ctrl-C.")
    ] = True,
) -> int:
    """Run the main job on the demo SAE and corpus, label its features, and serve the page."""
    from featlas.cli.demonstrating import run_demo

    return run_demo(tokens, serve=serve)


@app.command
def serve(
    *,
    host: Annotated[
        str,
        Parameter(help="Address to listen on. On any but 127.0.0.1, ::1 and localhost everybody needs a token."),
    ] = "127.0.0.1",
    port: Annotated[Whole, Parameter(help="Port to listen on; 0 takes any free one.")] = 8765,
    root_path: Annotated[str, Parameter(help="Path under which a proxy shows the page, as in /featlas.")] = "/",
    allowed_host: Annotated[
        tuple[str, ...], Parameter(help="A name under which the server is asked; may be given several times.")
    ] = (),
    require_token: Annotated[
        bool, Parameter(help="Ask for a token on this machine's own addresses too, as behind a proxy.")
    ] = False,
    open_browser: Annotated[bool, Parameter(name="--open", negative=(), help="Open the page in the browser.")] = False,
) -> int:
    """Serve the web page, and work on queued jobs beside it, until Ctrl-C."""
    from featlas.cli.serving import run_serve

    return run_serve(
        host,
        port,
        root_path=root_path,
        allowed_hosts=allowed_host,
        require_token=require_token,
        open_browser=open_browser,
    )


@app.command
def worker(
    *,
    queues: Annotated[
        tuple[str, ...], Parameter(consume_multiple=True, help=f"What to wait for, some of: {', '.join(QUEUES)}.")
    ] = QUEUES,
    concurrency: Annotated[Whole, Parameter(help="Jobs at a time.", validator=validators.Number(gte=1))] = 1,
) -> int:
    """Work on jobs of the team's store, as FEATLAS_BROKER_URL rings for them, until Ctrl-C."""
    from featlas.cli.working import run_worker

    return run_worker(queues, concurrency)


@jobs.command(name="ls")
def jobs_ls(*, as_json: Json = False) -> int:
    """List the jobs, newest first."""
    from featlas.cli.job_control import print_jobs

    return print_jobs(as_json=as_json)


@jobs.command(name="show")
def jobs_show(job: Job, /, *, as_json: Json = False) -> int:
    """Show one job and what happened to it."""
    from featlas.cli.job_control import print_job

    return print_job(job, as_json=as_json)


@jobs.command(name="cancel")
def jobs_cancel(job: Job, /) -> int:
    """Stop a job for good; what is done is kept, and a resume goes on from it."""
    from featlas.cli.job_control import cancel_job

    return cancel_job(job)


@jobs.command(name="pause")
def jobs_pause(job: Job, /) -> int:
    """Stop a running job for now."""
    from featlas.cli.job_control import pause_job

    return pause_job(job)


@jobs.command(name="resume")
def jobs_resume(job: Job, /, *, as_json: Json = False) -> int:
    """Go on with a paused, cancelled or failed job, in the foreground."""
    from featlas.cli.job_control import resume_job

    return resume_job(job, as_json=as_json)


@db.command(name="upgrade")
def db_upgrade() -> int:
    """Bring the database to the schema of this version."""
    from featlas.cli.database import upgrade_database

    return upgrade_database()


@db.command(name="check")
def db_check(*, as_json: Json = False) -> int:
    """Say whether the database has the schema of this version. Exit code 4: it does not."""
    from featlas.cli.database import check_database

    return check_database(as_json=as_json)


@db.command(name="copy")
def db_copy(
    source: Annotated[str, Parameter(help="The store that is copied: sqlite:///FILE or postgresql://USER@HOST/NAME.")],
    target: Annotated[
        str, Parameter(help="An empty database of either kind; a SQLite file that is not there is made.")
    ],
    /,
    *,
    as_json: Json = False,
) -> int:
    """Copy the store SOURCE into the empty database TARGET, from either kind to either.

    All of it or nothing: every row is compared before the copy counts. Stop workers first; the source is only read.
    """
    from featlas.cli.database import copy_database

    return copy_database(source, target, as_json=as_json)


@db.command(name="backup")
def db_backup(
    file: Annotated[str, Parameter(help="The file to write; it must not exist yet.")], /, *, as_json: Json = False
) -> int:
    """Write the store into a new SQLite file, from PostgreSQL too, while others go on working.

    The file is a store itself: point FEATLAS_DATABASE_URL at it, or `featlas db copy` it back.
    """
    from featlas.cli.database import back_up_database

    return back_up_database(file, as_json=as_json)


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; no error of ours reaches the terminal as a traceback."""
    sys.exit(_run(sys.argv[1:] if argv is None else argv))


def _run(argv: Sequence[str]) -> int:
    try:
        code = app(argv, exit_on_error=False, print_error=False) or 0
        sys.stdout.flush()
        return code
    except cyclopts.CycloptsError as error:
        return _fail(_usage_message(error), 2)
    except FeatlasError as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _write_no_more()  # `| head` read enough
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _fail_unexpected(error)
        _write_no_more()
        return _fail("no space left to write the output; make room", ExternalError.exit_code)
    except Exception as error:  # noqa: BLE001 (the boundary: a mistake of ours is told in a sentence too)
        return _fail_unexpected(error)


def _write_no_more() -> None:
    """Give standard output to nobody, so that what is still in its buffer cannot fail again at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _fail_unexpected(error: Exception) -> int:
    name = type(error).__name__
    return _fail(f"unexpected {name}: {error}; the traceback is in {_save_traceback(error)}", FeatlasError.exit_code)


def _save_traceback(error: Exception) -> str:
    """The file that holds the traceback, for a report."""
    with tempfile.NamedTemporaryFile("w", prefix="featlas-", suffix=".traceback", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    return file.name


def _fail(message: str, code: int) -> int:
    one_line = " ".join(line.strip() for line in message.splitlines() if line.strip())
    sys.stderr.write(f"featlas: {one_line}\n")
    return code


def _usage_message(error: cyclopts.CycloptsError) -> str:
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument:
        command, name = " ".join(error.command_chain or ()), error.argument.name
        if name in (error.root_input_tokens or ()):
            return f"{name} needs a value; see `featlas {command} --help`"
        return f"{command} needs {name}; see `featlas {command} --help`"
    if isinstance(error, cyclopts.UnusedCliTokensError):
        return f"more arguments than expected: {' '.join(map(repr, error.unused_tokens or ()))}"
    cause = error.__cause__
    if isinstance(cause, pydantic.ValidationError):
        return "; ".join(_field_message(found) for found in cause.errors())
    return str(error).strip()


def _field_message(found) -> str:
    message = found["msg"].lower().removeprefix("value error, ")
    if not found["loc"]:  # about several options together: it names them itself
        return message
    return f"--{str(found['loc'][0]).replace('_', '-')} {found['input']!r}: {message}"


if __name__ == "__main__":
    main()
