"""One exception tree, so that the CLI, the API and the worker translate failures in one place.

    FeatlasError              CLI  HTTP  meaning
    ├── InputError              2   422  the caller asked for something impossible
    ├── NotFoundError           3   404  the named thing does not exist
    ├── ConflictError           4   409  the state of things forbids it
    ├── ExternalError           5   502  a hub, disk, database or provider failed; see `.retryable`
    │   └── DatabaseUnreachable 5   502  the database does not answer; what was asked may be asked again
    ├── JobCancelled          130   409  somebody asked the job to stop for good
    └── JobPaused             130   409  somebody asked the job to stop for now; its work is kept
        └── JobHandedBack     130   409  its worker has to go; the next one goes on

A message says what happened, what was expected and what to do.
"""


class FeatlasError(Exception):
    """The root of every error that Featlas raises on purpose."""

    exit_code = 1
    http_status = 500


class InputError(FeatlasError):
    """The caller asked for something impossible: a bad value, a broken file, a wrong shape."""

    exit_code = 2
    http_status = 422


class NotFoundError(FeatlasError):
    """The named run, feature, file or model does not exist."""

    exit_code = 3
    http_status = 404


class ConflictError(FeatlasError):
    """The request is sound but the present state forbids it."""

    exit_code = 4
    http_status = 409


class ExternalError(FeatlasError):
    """Something outside Featlas failed: a hub, the disk, a database, an LLM provider."""

    exit_code = 5
    http_status = 502

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class DatabaseUnreachable(ExternalError):
    """The database does not answer, or ended the connection."""

    def __init__(self, message: str, *, retryable: bool = True) -> None:
        super().__init__(message, retryable=retryable)


class JobCancelled(FeatlasError):
    """The job was asked to stop for good."""

    exit_code = 130
    http_status = 409


class JobPaused(FeatlasError):
    """The job was asked to stop for now; finished blocks are kept and a resume goes on from them."""

    exit_code = 130
    http_status = 409


class JobHandedBack(JobPaused):
    """The worker was asked to go; the job goes back to the queue, and the next worker goes on from what is done."""
