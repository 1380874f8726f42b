"""The `featlas templates` commands as they are typed; what they do is in `templating`."""

from dataclasses import asdict, dataclass
from typing import Annotated

from cyclopts import App, Parameter

from featlas.cli.arguments import Json, RunRef, Whole

templates = App(name="templates", help="Prompt templates: what a language model is asked about a feature.")

TemplateRef = Annotated[str, Parameter(help="Number, name or start of the uid of a template.")]
Name = Annotated[str, Parameter(help="The name; not digits only.", allow_leading_hyphen=True)]
TextFile = Annotated[str, Parameter(help="A file with the text, or - for standard input.", allow_leading_hyphen=True)]
TemplateFile = Annotated[
    str, Parameter(help="A file as `export` writes it, or - for standard input.", allow_leading_hyphen=True)
]
SystemFile = Annotated[
    str | None,
    Parameter(help="A file with the system text, or - for standard input.", allow_leading_hyphen=True),
]
UserFile = Annotated[
    str | None,
    Parameter(help="A file with the user text, or - for standard input.", allow_leading_hyphen=True),
]
Description = Annotated[str, Parameter(help="What it is for, in a sentence.", allow_leading_hyphen=True)]


@dataclass(frozen=True)
class EvidenceChange:
    """Numbers of EvidenceOptions that were given; the others stay."""

    n_top: Annotated[Whole | None, Parameter(help="Strongest examples to show.")] = None
    n_spread: Annotated[Whole | None, Parameter(help="Examples drawn from the whole range of strengths.")] = None
    n_near_misses: Annotated[Whole | None, Parameter(help="Silent contexts that hold its usual tokens.")] = None
    n_non_firing: Annotated[Whole | None, Parameter(help="Silent contexts drawn by chance.")] = None
    n_tokens: Annotated[Whole | None, Parameter(help="Rows of the token table.")] = None
    n_logits: Annotated[Whole | None, Parameter(help="Promoted tokens, and as many suppressed ones.")] = None
    window: Annotated[Whole | None, Parameter(help="Tokens of each example, around its peak.")] = None


def _given(evidence: EvidenceChange | None) -> dict[str, int]:
    return {} if evidence is None else {name: n for name, n in asdict(evidence).items() if n is not None}


Evidence = Annotated[EvidenceChange | None, Parameter(name="*")]


@templates.command(name="ls")
def templates_ls(
    *,
    favorites: Annotated[bool, Parameter(help="Favourites only.")] = False,
    as_json: Json = False,
) -> int:
    """List the templates: the default first, then favourites."""
    from featlas.cli.templating import print_templates

    return print_templates(favorites_only=favorites, as_json=as_json)


@templates.command(name="show")
def templates_show(
    template: TemplateRef,
    /,
    *,
    version: Annotated[Whole | None, Parameter(help="An older version; the newest by default.")] = None,
    as_json: Json = False,
) -> int:
    """Show what a template asks, and its versions."""
    from featlas.cli.templating import print_template

    return print_template(template, version, as_json=as_json)


@templates.command(name="variables")
def templates_variables(*, as_json: Json = False) -> int:
    """List the variables that a template may use."""
    from featlas.cli.templating import print_variables

    return print_variables(as_json=as_json)


@templates.command(name="add")
def templates_add(
    name: Name,
    /,
    *,
    user_file: TextFile,
    system_file: SystemFile = None,
    description: Description = "",
    evidence: Evidence = None,
    as_json: Json = False,
) -> int:
    """Add a template; `featlas templates variables` says what its texts may hold in braces."""
    from featlas.cli.templating import add

    return add(name, description, (system_file, user_file), _given(evidence), as_json=as_json)


@templates.command(name="edit")
def templates_edit(
    template: TemplateRef,
    /,
    *,
    name: Annotated[str | None, Parameter(help="A new name.", allow_leading_hyphen=True)] = None,
    description: Annotated[str | None, Parameter(help="A new description.", allow_leading_hyphen=True)] = None,
    system_file: SystemFile = None,
    user_file: UserFile = None,
    version: Annotated[Whole | None, Parameter(help="Go back to the wording of this version.")] = None,
    evidence: Evidence = None,
    as_json: Json = False,
) -> int:
    """Change a template; another wording is a new version, and labels of the older ones become stale."""
    from featlas.cli.templating import edit

    names = {"name": name, "description": description}
    return edit(template, names, (system_file, user_file), _given(evidence), version=version, as_json=as_json)


@templates.command(name="clone")
def templates_clone(
    template: TemplateRef,
    name: Name,
    /,
    *,
    version: Annotated[Whole | None, Parameter(help="Clone an older version; the newest by default.")] = None,
    as_json: Json = False,
) -> int:
    """Make a new template that says the same."""
    from featlas.cli.templating import clone

    return clone(template, name, version, as_json=as_json)


@templates.command(name="default")
def templates_default(template: TemplateRef, /, *, as_json: Json = False) -> int:
    """Make a template the one that is used where none is named."""
    from featlas.cli.templating import make_default

    return make_default(template, as_json=as_json)


@templates.command(name="favorite")
def templates_favorite(
    template: TemplateRef,
    /,
    *,
    off: Annotated[bool, Parameter(help="Take the mark away.")] = False,
    as_json: Json = False,
) -> int:
    """Mark a template as a favourite."""
    from featlas.cli.templating import mark_favorite

    return mark_favorite(template, not off, as_json=as_json)


@templates.command(name="rm")
def templates_rm(template: TemplateRef, /, *, as_json: Json = False) -> int:
    """Delete a template that no label was made with."""
    from featlas.cli.templating import delete

    return delete(template, as_json=as_json)


@templates.command(name="export")
def templates_export(
    *template: Annotated[str, Parameter(help="Templates to write; all by default.")],
    to: Annotated[str, Parameter(help="The file to write, or - for standard output.", allow_leading_hyphen=True)] = "-",
) -> int:
    """Write templates as JSON, as `import` reads it."""
    from featlas.cli.templating import export

    return export(template, to)


@templates.command(name="import")
def templates_import(
    file: TemplateFile,
    /,
    *,
    update: Annotated[bool, Parameter(help="Give templates of the same names a new version.")] = False,
    as_json: Json = False,
) -> int:
    """Add all templates of a file, or none where anything is wrong."""
    from featlas.cli.templating import import_file

    return import_file(file, update=update, as_json=as_json)


@templates.command(name="validate")
def templates_validate(
    file: Annotated[
        str | None,
        Parameter(help="A file as `export` writes it, or - for standard input.", allow_leading_hyphen=True),
    ] = None,
    /,
    *,
    system_file: SystemFile = None,
    user_file: UserFile = None,
    evidence: Evidence = None,
    as_json: Json = False,
) -> int:
    """Say what is wrong with a file of templates, or with two texts; nothing is saved. Exit code 2: something is."""
    from featlas.cli.templating import validate

    return validate(file, (system_file, user_file), _given(evidence), as_json=as_json)


@templates.command(name="preview")
def templates_preview(
    ref: TemplateRef,
    run: RunRef,
    index: Annotated[Whole, Parameter(help="The feature's index, 0 … d_sae − 1.", allow_leading_hyphen=True)],
    /,
    *,
    model: Annotated[str, Parameter(help="The model that would be asked; part of the request.")] = "",
    as_json: Json = False,
) -> int:
    """Print the exact prompt of one feature; nobody is asked. With --json the whole request."""
    from featlas.cli.asking import print_prompt

    return print_prompt(ref, run, index, model=model, as_json=as_json)
