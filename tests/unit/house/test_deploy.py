"""What the files for deployment name is what the program has: commands, options, variables, figures, limits."""

import re
import shlex
from collections.abc import Iterator
from configparser import ConfigParser, RawConfigParser
from pathlib import Path

import pytest
import yaml
from cyclopts import App
from prometheus_client.parser import text_string_to_metric_families

from featlas.api.metrics import Metrics
from featlas.cli.main import app
from featlas.entry.ending import END_WITHIN_S
from featlas.entry.logs import KEY_VARIABLES
from featlas.settings import Settings
from featlas.specs import QUEUES
from featlas.store.session import Store

REPOSITORY = Path(__file__).parents[3]
DEPLOY = REPOSITORY / "docs" / "deploy"
GUIDE = REPOSITORY / "docs" / "guides" / "deploy.md"
FILES = [*sorted(path for path in DEPLOY.iterdir()), GUIDE]
UNITS = sorted(DEPLOY.glob("*.service"))
_SETTINGS = {f"FEATLAS_{name.upper()}" for name in Settings.model_fields} | set(KEY_VARIABLES)
_SHELL_LINE = re.compile(r"`(featlas [^`\n]+)`|^(?:\S*/)?(featlas [^`\n#]+)|exec web (featlas [^\n]+)", re.M)


def _unit(path: Path) -> RawConfigParser:
    parser = ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    parser.read(path)
    return parser


def _commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of Featlas: where it stands, and its words."""
    for path in UNITS:
        yield path.name, shlex.split(_unit(path)["Service"]["ExecStart"])[1:]
    for name, service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].items():
        if service.get("image") == "featlas":
            yield f"compose {name}", service["command"]
    cmd = re.search(r"^CMD (\[.*\])$", (DEPLOY / "Dockerfile").read_text(), re.M)
    assert cmd is not None
    yield "Dockerfile", yaml.safe_load(cmd[1])
    for found in _SHELL_LINE.finditer(GUIDE.read_text()):
        yield "guide", shlex.split(next(filter(None, found.groups())))[1:]


COMMANDS = list(_commands())


def test_enough_commands_are_found():
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[f"{place}: {' '.join(words)}" for place, words in COMMANDS])
def test_every_command_and_option_is_the_programs(place: str, words: list[str]):
    _, apps, rest = app.parse_commands(words)
    command: App = apps[-1]
    assert command is not app, f"there is no command {words}"
    assert command.default_command is not None, f"{words} is a group of commands"
    options = {name for argument in command.assemble_argument_collection() for name in argument.names}
    assert {word for word in rest if word.startswith("--")} <= options


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path):
    named = set(re.findall(r"\b(?:FEATLAS_[A-Z_]+|(?:OPENAI|ANTHROPIC)_API_KEY)\b", path.read_text()))
    assert named <= _SETTINGS


def test_every_queue_is_one_that_workers_wait_on():
    named = [word for _, words in COMMANDS if "--queues" in words for word in _values(words, "--queues")]
    assert {word for word in named if word != "%i"} <= set(QUEUES)
    instances = set(re.findall(r"featlas-worker@(\w+)", "".join(path.read_text() for path in FILES))) - {"service"}
    assert instances <= set(QUEUES)


def _values(words: list[str], option: str) -> list[str]:
    after = words[words.index(option) + 1 :]
    end = next((i for i, word in enumerate(after) if word.startswith("--")), len(after))
    return after[:end]


def test_what_kills_waits_longer_than_an_end_in_order_takes():
    web = _unit(DEPLOY / "featlas-web.service")["Service"]
    assert int(web["TimeoutStopSec"]) > END_WITHIN_S
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    assert int(services["web"]["stop_grace_period"].removesuffix("s")) > END_WITHIN_S


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_only_the_program_itself_gets_the_signal(path: Path):
    """To the process of a job SIGTERM means that it is cancelled."""
    service = _unit(path)["Service"]
    assert (service["KillSignal"], service["KillMode"]) == ("SIGTERM", "mixed")


async def _figures(store: Store) -> set[str]:
    metrics = Metrics(store, "9.9", 30, lambda: 0)
    metrics.see_request("GET", "/", 200, 0.1)
    families = list(text_string_to_metric_families((await metrics.text()).decode()))
    return {family.name for family in families} | {one.name for family in families for one in family.samples}


def test_every_figure_is_one_that_is_told(sqlite_template: Path, tmp_path: Path):
    import asyncio

    path = tmp_path / "figures.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = Store.open(f"sqlite:///{path}")
    told = asyncio.run(_figures(store))
    store.close()
    rules = yaml.safe_load((DEPLOY / "alerts.yaml").read_text())["groups"][0]["rules"]
    texts = [*(rule["expr"] for rule in rules), *re.findall(r"`([^`\n]+)`", GUIDE.read_text())]
    named = {name for text in texts for name in re.findall(r"\b(?:featlas|process)_\w+", text)}
    assert len(named) > 10
    assert named <= told
