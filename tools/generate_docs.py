"""Write the documents that the code already knows: the CLI, the settings, the API, and the figures quoted anywhere.

`python -m tools.generate_docs` writes them; with `--check` it writes nothing and is red where a file would change.
"""

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from tools.figures import fill_in
from tools.openapi import describe_api
from tools.record import load_records

from featlas.settings import Settings

NOTE = "<!-- Written by `make docs`; edit the code instead. -->"


SETTINGS_OPENING = f"""# Settings

{NOTE}

Where and how Featlas runs on this machine. Each setting is an environment variable; a value of the wrong kind is
refused. What is computed is not a setting but an option of the command: see [the CLI](cli.md).

| variable | kind | default | meaning |
|---|---|---|---|
"""


def settings_page() -> str:
    """A table of every setting: its environment variable, type, default and meaning."""
    prefix = Settings.model_config.get("env_prefix", "")
    rows = []
    for name, field in Settings.model_fields.items():
        kind, default = _type_name(field.annotation), _default_text(name, field)
        rows.append(f"| `{prefix}{name.upper()}` | {kind} | {default} | {field.description} |\n")
    return SETTINGS_OPENING + "".join(rows)


def cli_page() -> str:
    """Every command with its options, as cyclopts documents them."""
    app = importlib.import_module("featlas.cli.main").app
    called_as, sys.argv = sys.argv, ["featlas"]  # the commands of a group say in their usage how the program was called
    try:
        text = app.generate_docs(output_format="markdown", usage_name="featlas")
        # cyclopts puts a command's name in front of a usage that a command states itself and that has it already.
        text = re.sub(r"^featlas (.+) \1 ", r"featlas \1 ", text, flags=re.MULTILINE)
    finally:
        sys.argv = called_as
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{NOTE}\n{rest.rstrip()}\n"


API_OPENING = f"""# The API

{NOTE}

What `featlas serve` answers, under `/api/v1`. The full description, with every field and its meaning, is at
`/api/openapi.json` of a running server. Errors are problem details (RFC 9457, `application/problem+json`):
`detail` says what happened, what was expected and what to do, `error_class` names the class of `featlas.errors`.

`{{sae}}` is an SAE's uid, id or name, or the start of its uid; `run` a run's number, name or start of its uid, by
default the SAE's newest finished run. Lists go on with `after`, the `next` of the page before. Text with activations
comes in segments whose ends count UTF-16 units and never cut a character as people see it.

Blocks (`application/vnd.featlas.block`): u32 little-endian length n; n bytes of JSON, whose `columns` name each
array's dtype, offset and length; zeros up to a multiple of 8; the arrays, little-endian, `offset` counted from here.

| request | what it does |
|---|---|
"""


def api_page() -> str:
    """Every request of the API and what it does."""
    rows = []
    for path, methods in json.loads(describe_api())["paths"].items():
        for method, operation in methods.items():
            options = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"]
            asked = "?" + "&".join(options) if options else ""
            said = " ".join(operation["description"].split())
            rows.append(f"| `{method.upper()} {path}{asked}` | {said} |\n")
    return API_OPENING + "".join(rows)


PAGES: dict[str, Callable[[], str]] = {
    "docs/settings.md": settings_page,
    "docs/cli.md": cli_page,
    "docs/api.md": api_page,
    "ui/src/api/openapi.json": describe_api,
}


def generate(root: Path) -> dict[Path, str]:
    """The text that each generated page, and each page that quotes figures, should have."""
    wanted = {root / name: page() for name, page in PAGES.items()}
    records = load_records(root / "docs" / "records")
    for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("data/**/*.md")]):
        if path not in wanted:
            wanted[path] = fill_in(path.read_text(encoding="utf-8"), records)
    return wanted


def find_drift(wanted: dict[Path, str]) -> list[Path]:
    """The pages whose text on disk differs."""
    return [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]


def _type_name(annotation: Any) -> str:
    options = [option for option in get_args(annotation) if option is not type(None)]
    return {"str": "text", "Path": "folder", "int": "integer", "float": "number", "bool": "true or false"}.get(
        getattr(annotation, "__name__", ""), " or ".join(str(option) for option in options) or str(annotation)
    )


def _default_text(name: str, field: Any) -> str:
    if field.default_factory is not None:
        return "the user's data folder, as the platform has it" if name == "home" else "computed"
    return f"`{field.default}`" if field.default != "" else "empty"


def main() -> int:
    """Write or, with --check, compare; 1 when something differs."""
    root = Path.cwd()
    wanted = generate(root)
    drift = find_drift(wanted)
    for path in drift:
        print(path.relative_to(root).as_posix())
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
    if drift and "--check" in sys.argv:
        print("these pages differ from what the code says: run `make docs` and commit them")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
