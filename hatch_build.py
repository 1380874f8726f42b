"""Refuses to build a wheel without the web page in it: the classic failure of packages like this one."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGE = "src/featlas/web/index.html"


class RequirePage(BuildHookInterface):
    """An editable install is let through: there `make ui` builds the page where it is served from."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Look before anything is packed."""
        if version != "editable" and not (Path(self.root) / PAGE).is_file():
            raise FileNotFoundError(f"{PAGE} is missing; `make build` builds the page first, `make ui` the page alone")
