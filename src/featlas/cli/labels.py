"""The `featlas labels` and `featlas providers` commands as typed; what they do is in `labeling` and `asking`."""

from typing import Annotated, Literal

from cyclopts import App, Parameter

from featlas.cli.arguments import Json, RunRef, Whole

labels = App(name="labels", help="Labels: those of a feature and of a job, and what people say of them.")
providers = App(name="providers", help="Language models that can be asked for labels: list them, test one.")

FeatureIndex = Annotated[Whole, Parameter(help="The feature's index, 0 … d_sae − 1.", allow_leading_hyphen=True)]
LabelId = Annotated[
    Whole, Parameter(help="The label's number, as `featlas labels ls` lists it.", allow_leading_hyphen=True)
]
By = Annotated[str, Parameter(help="Who says so; kept with the label.")]


LabelingJob = Annotated[
    Whole, Parameter(help="A labeling job's number, as `featlas jobs ls` lists it.", allow_leading_hyphen=True)
]


@labels.command(name="of-job")
def labels_of_job(
    job: LabelingJob,
    /,
    *,
    failed: Annotated[bool, Parameter(help="Only what failed.")] = False,
    as_json: Json = False,
) -> int:
    """List what a labeling job said, newest first."""
    from featlas.cli.asking import print_job_labels

    return print_job_labels(job, failed_only=failed, as_json=as_json)


@labels.command(name="compare")
def labels_compare(
    job_a: LabelingJob,
    job_b: LabelingJob,
    /,
    *,
    which: Annotated[Literal["different", "same", "all"], Parameter(help="Which features to list.")] = "different",
    as_json: Json = False,
) -> int:
    """Compare the labels of two labeling jobs, feature by feature."""
    from featlas.cli.asking import print_comparison

    return print_comparison(job_a, job_b, which=which, as_json=as_json)


@labels.command(name="answer")
def labels_answer(label_id: LabelId, /, *, as_json: Json = False) -> int:
    """Show the exact question and answer behind a language model's label."""
    from featlas.cli.asking import print_answer

    return print_answer(label_id, as_json=as_json)


@providers.command(name="ls")
def providers_ls(*, as_json: Json = False) -> int:
    """List who can be asked for labels, at which address, and whether there is a key."""
    from featlas.cli.asking import print_providers

    return print_providers(as_json=as_json)


@providers.command(name="test")
def providers_test(
    provider: Annotated[Literal["openai", "anthropic", "compatible"], Parameter(help="Who is asked.")],
    /,
    *,
    model: Annotated[str, Parameter(help="Which model; empty: the default one.")] = "",
    as_json: Json = False,
) -> int:
    """Ask one tiny question: is the provider there, does it take the key, does it keep to a JSON schema?"""
    from featlas.cli.asking import print_trial

    return print_trial(provider, model, as_json=as_json)


@labels.command(name="ls")
def labels_ls(run: RunRef, index: FeatureIndex, /, *, as_json: Json = False) -> int:
    """List every label that a feature was given, newest first; `*` marks the one in force."""
    from featlas.cli.labeling import print_labels

    return print_labels(run, index, as_json=as_json)


@labels.command(name="add")
def labels_add(
    run: RunRef,
    index: FeatureIndex,
    text: Annotated[str, Parameter(help="The label, two to eight words.", allow_leading_hyphen=True)],
    /,
    *,
    category: Annotated[str, Parameter(help="A path, as in: Language > Syntax")] = "",
    explanation: Annotated[str, Parameter(help="A sentence that says more.", allow_leading_hyphen=True)] = "",
    by: By = "",
    as_json: Json = False,
) -> int:
    """Give a feature a label of your own; no machine replaces it."""
    from featlas.cli.labeling import add_label

    return add_label(run, index, text, category=category, explanation=explanation, by=by, as_json=as_json)


@labels.command(name="accept")
def labels_accept(label_id: LabelId, /, *, by: By = "", as_json: Json = False) -> int:
    """Say that a label is right."""
    from featlas.cli.labeling import accept

    return accept(label_id, by=by, as_json=as_json)


@labels.command(name="reject")
def labels_reject(
    label_id: LabelId,
    /,
    *,
    reason: Annotated[str, Parameter(help="Why.", allow_leading_hyphen=True)] = "",
    by: By = "",
    as_json: Json = False,
) -> int:
    """Say that a label is wrong; the best of the others comes into force."""
    from featlas.cli.labeling import reject

    return reject(label_id, reason, by=by, as_json=as_json)


@labels.command(name="restore")
def labels_restore(label_id: LabelId, /, *, by: By = "", as_json: Json = False) -> int:
    """Bring an older label back into force."""
    from featlas.cli.labeling import restore

    return restore(label_id, by=by, as_json=as_json)
