"""The `featlas review` commands as they are typed; what they do is in `reviewing`."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from featlas.cli.arguments import Json, RunRef, Whole

review = App(name="review", help="The review queue: what waits for a person, steps through it, and undoing them.")

FeatureIndex = Annotated[Whole, Parameter(help="The feature's index, 0 … d_sae − 1.", allow_leading_hyphen=True)]
LabelId = Annotated[
    Whole, Parameter(help="The label's number, as `featlas labels ls` lists it.", allow_leading_hyphen=True)
]
Reviewer = Annotated[str, Parameter(help="Who reviews; who undoes it later.", allow_leading_hyphen=True)]


@review.command(name="queue", usage="Usage: featlas review queue [OPTIONS] RUN [QUERY...]")
def review_queue(
    run: RunRef,
    /,
    *query: Annotated[str, Parameter(allow_leading_hyphen=True, help="Filter, as in: is:machine density:1e-4..")],
    order: Annotated[
        Literal["doubt", "query"],
        Parameter(help="doubt: lint first, then low scores, then frequent features; query: the query's own order."),
    ] = "doubt",
    by: Annotated[
        str, Parameter(help="Leave out what this reviewer skipped in the last 12 hours.", allow_leading_hyphen=True)
    ] = "",
    limit: Annotated[Whole | None, Parameter(help="Most features to print; 50 by default, with --json all.")] = None,
    as_json: Json = False,
) -> int:
    """List the features that match a query and have a label that nobody judged.

    Features without a label are there if the query asks for them, as is:unlabeled does.
    """
    from featlas.cli.reviewing import print_queue

    return print_queue(run, " ".join(query), order=order, by=by, limit=limit, as_json=as_json)


@review.command(name="accept")
def review_accept(label_id: LabelId, /, *, by: Reviewer, as_json: Json = False) -> int:
    """Say that a label is right, as a step that `undo` takes back."""
    from featlas.cli.reviewing import accept

    return accept(label_id, by=by, as_json=as_json)


@review.command(name="reject")
def review_reject(
    label_id: LabelId,
    /,
    *,
    by: Reviewer,
    reason: Annotated[str, Parameter(help="Why.", allow_leading_hyphen=True)] = "",
    as_json: Json = False,
) -> int:
    """Say that a label is wrong, as a step that `undo` takes back."""
    from featlas.cli.reviewing import reject

    return reject(label_id, reason, by=by, as_json=as_json)


@review.command(name="write")
def review_write(
    run: RunRef,
    index: FeatureIndex,
    text: Annotated[str, Parameter(help="The label, two to eight words.", allow_leading_hyphen=True)],
    /,
    *,
    by: Reviewer,
    category: Annotated[str, Parameter(help="A path, as in: Language > Syntax")] = "",
    explanation: Annotated[str, Parameter(help="A sentence that says more.", allow_leading_hyphen=True)] = "",
    as_json: Json = False,
) -> int:
    """Give a feature a label of your own, as a step that `undo` takes back."""
    from featlas.cli.reviewing import write

    return write(run, index, text, by=by, category=category, explanation=explanation, as_json=as_json)


@review.command(name="skip")
def review_skip(run: RunRef, index: FeatureIndex, /, *, by: Reviewer, as_json: Json = False) -> int:
    """Keep a feature out of the reviewer's queue for 12 hours."""
    from featlas.cli.reviewing import skip

    return skip(run, index, by=by, as_json=as_json)


@review.command(name="undo")
def review_undo(
    run: RunRef,
    /,
    *,
    by: Annotated[str, Parameter(help="Whose newest step is taken back.", allow_leading_hyphen=True)],
    leave_overtaken: Annotated[
        bool,
        Parameter(negative=(), help="Leave steps whose label others have judged since, and take back the one before."),
    ] = False,
    as_json: Json = False,
) -> int:
    """Take back a reviewer's newest step in the queue; again, the one before it."""
    from featlas.cli.reviewing import undo

    return undo(run, by=by, leave_overtaken=leave_overtaken, as_json=as_json)


@review.command(name="log")
def review_log(
    run: RunRef,
    /,
    *,
    by: Annotated[str, Parameter(help="Whose steps; everybody's without it.", allow_leading_hyphen=True)] = "",
    limit: Annotated[Whole | None, Parameter(help="Most steps to print; 50 by default, with --json all.")] = None,
    as_json: Json = False,
) -> int:
    """List the steps through the queue of the run's SAE, newest first, undone ones too."""
    from featlas.cli.reviewing import print_log

    return print_log(run, by=by, limit=limit, as_json=as_json)
