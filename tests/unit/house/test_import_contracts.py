"""Every import contract turns red on a planted violation, so that a green `lint-imports` means something."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

# contract id → (module that gets the import, the import planted there)
VIOLATIONS = {
    "layers": ("domain", "import featlas.specs"),
    "pure": ("core.planted", "import logging"),
    "torch-unreachable": ("explain.planted", "import featlas.engine.sae"),
    "store": ("store.planted", "import featlas.core.hashing"),
    "explain": ("explain.planted", "import featlas.store"),
    "engine": ("engine.planted", "import featlas.settings"),
    "exchange": ("exchange.planted", "import featlas.explain"),
    "pipeline": ("pipeline.planted", "import sqlalchemy"),
    "worker": ("worker.planted", "import featlas.core.hashing"),
    "api": ("api.planted", "import featlas.pipeline"),
    "settings": ("store.planted", "import featlas.settings"),
    "testing": ("cli.planted", "import featlas.testing"),
    "acyclic": ("core.hashing", "import featlas.core.planted"),
    "home-torch": ("cli.planted", "import torch"),
    "home-transformers": ("pipeline.planted", "import transformers"),
    "home-sql": ("cli.planted", "import sqlalchemy"),
    "home-broker": ("worker.planted", "import celery"),
    "home-web": ("entry.planted", "import fastapi"),
    "home-llm": ("explain.planted", "import openai"),
    "home-columnar": ("store.planted", "import pyarrow"),
    "home-safetensors": ("engine.planted", "import safetensors"),
    "home-fsspec": ("exchange.planted", "import fsspec"),
    "home-metrics": ("entry.planted", "import prometheus_client"),
    "home-terminal": ("pipeline.planted", "from rich.console import Console"),
}
ALSO_PLANTED = {"acyclic": ("core.planted", "import featlas.core.hashing")}


def _contract_ids() -> list[str]:
    tables = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [table["id"] for table in tables]


def _lint(tree: Path, *contracts: str) -> subprocess.CompletedProcess[str]:
    chosen = [argument for contract in contracts for argument in ("--contract", contract)]
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", *chosen],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree / "src")},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the package and its contracts, to be spoilt."""
    ignored = shutil.ignore_patterns("__pycache__", "web", "migrations")
    shutil.copytree(REPOSITORY / "src", tmp_path / "src", ignore=ignored)
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def _plant(tree: Path, module: str, statement: str) -> None:
    path = tree.joinpath("src", "featlas", *module.split(".")).with_suffix(".py")
    before = path.read_text() if path.exists() else '"""Planted."""\n'
    path.write_text(f"{before}\n{statement}\n")


def test_every_contract_has_a_planted_violation() -> None:
    assert sorted(VIOLATIONS) == sorted(_contract_ids())


def test_the_tree_as_it_is_keeps_every_contract(tree: Path) -> None:
    clean = _lint(tree)
    assert clean.returncode == 0, clean.stdout


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_contract_turns_red_on_its_violation(tree: Path, contract: str) -> None:
    for module, statement in filter(None, (VIOLATIONS[contract], ALSO_PLANTED.get(contract))):
        _plant(tree, module, statement)
    spoilt = _lint(tree, contract)
    assert spoilt.returncode == 1
    assert "Contracts: 0 kept, 1 broken." in spoilt.stdout


def test_torch_is_found_through_a_chain_of_modules(tree: Path) -> None:
    _plant(tree, "exchange.planted", "import featlas.store.planted")
    _plant(tree, "store.planted", "import featlas.store.planted_too")
    _plant(tree, "store.planted_too", "import torch")
    found = _lint(tree, "torch-unreachable")
    assert found.returncode == 1
    assert "featlas.exchange.planted -> featlas.store.planted" in found.stdout


def test_a_package_without_a_layer_is_refused(tree: Path) -> None:
    _plant(tree, "annex", "")
    found = _lint(tree, "layers")
    assert found.returncode == 1
    assert "featlas.annex" in found.stdout


_IMPORT_ALL = """
import importlib, pkgutil, sys
for name in ("core", "store", "exchange", "explain", "api", "specs", "query", "settings", "domain", "errors"):
    module = importlib.import_module("featlas." + name)
    for found in pkgutil.walk_packages(getattr(module, "__path__", []), module.__name__ + "."):
        if not found.name.startswith("featlas.store.migrations"):  # Alembic's scripts run only inside Alembic
            importlib.import_module(found.name)
assert "numpy" in sys.modules
heavy = {"torch", "transformers", "datasets", "numba"} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_every_light_package_does_not_load_torch() -> None:
    done = subprocess.run([sys.executable, "-c", _IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
