"""Where and how Featlas runs on this machine; what it computes is a Spec. Read only by the CLI and the entry points."""

import os
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from platformdirs import user_data_path
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every setting is an environment variable with the prefix FEATLAS_, as FEATLAS_HOME; an empty one is not set."""

    model_config = SettingsConfigDict(env_prefix="FEATLAS_", extra="forbid", env_ignore_empty=True)

    home: Path = Field(
        default_factory=lambda: user_data_path("featlas", appauthor=False),
        description="Folder for the database, run artifacts and caches.",
    )
    database_url: str = Field(
        default="",
        description="SQLAlchemy URL of the store; empty means the SQLite file featlas.db in FEATLAS_HOME.",
    )
    broker_url: str = Field(
        default="",
        description="URL of the broker that wakes workers, as redis://host:6379/0; empty means that jobs run on this"
        " machine.",
    )
    artifacts_url: str = Field(
        default="",
        description="Where machines without a shared folder pass each other the files of runs: an fsspec URL, as"
        " s3://bucket/featlas; empty means that FEATLAS_HOME/artifacts is this machine's alone or shared itself.",
    )
    database_connections: int = Field(
        default=40,
        ge=2,
        description="Most connections to the database that `featlas serve` opens; 40 is one for each thread that "
        "answers. Each command, worker and job opens 8 at most, mostly 2.",
    )
    device: str = Field(default="auto", description="Where torch computes: auto, cpu, cuda, cuda:N or mps.")
    threads: int = Field(default=0, ge=0, description="CPU threads for torch; 0 means all physical cores.")
    lease_s: float = Field(default=30.0, gt=0, description="Seconds after which a silent worker's job is taken over.")
    openai_base_url: str = Field(
        default="", description="Where OpenAI is asked, for a gateway of your own; the key OPENAI_API_KEY goes there."
    )
    anthropic_base_url: str = Field(
        default="",
        description="Where Anthropic is asked, for a gateway of your own; the key ANTHROPIC_API_KEY goes there.",
    )
    compatible_base_url: str = Field(
        default="",
        description="A server that speaks OpenAI's protocol, as http://127.0.0.1:11434/v1; the key "
        "FEATLAS_COMPATIBLE_API_KEY, if there is one, goes there.",
    )

    log_format: Literal["text", "json"] = Field(
        default="text", description="How servers and workers log to stderr: a line of text or of JSON per event."
    )
    log_level: Literal["", "debug", "info", "warning", "error"] = Field(
        default="",
        description="The least that is logged; empty means warning for text and info for JSON. From info on the server "
        "logs every request.",
    )
    allowed_hosts: str = Field(
        default="", description="Names under which the server may be asked, separated by commas; for `featlas serve`."
    )
    max_body_bytes: int = Field(default=4 * 2**20, ge=1024, description="Longest body of a request that is read.")
    roots: str = Field(
        default="",
        description="Folders in which models, SAEs and texts must lie that are named over the network, separated as in "
        "PATH; heeded where the server asks for tokens.",
    )

    @property
    def provider_urls(self) -> dict[str, str]:
        """Where each provider of language models is asked; empty means at its own official address."""
        return {
            "openai": self.openai_base_url,
            "anthropic": self.anthropic_base_url,
            "compatible": self.compatible_base_url,
        }

    @property
    def allowed_host_names(self) -> tuple[str, ...]:
        """The names one by one."""
        return tuple(name.strip() for name in self.allowed_hosts.split(",") if name.strip())

    @property
    def root_paths(self) -> tuple[Path, ...]:
        """The folders one by one."""
        return tuple(Path(path).expanduser() for path in self.roots.split(os.pathsep) if path.strip())

    @property
    def store_url(self) -> str:
        """The database URL in force."""
        if self.database_url:
            return self.database_url
        # A path may hold % and ?, which mean something in a URL.
        return f"sqlite:///{quote(str(self.home / 'featlas.db'))}"

    @property
    def artifacts_path(self) -> Path:
        """Folder that holds one folder per run: tokens, block files, full token tables."""
        return self.home / "artifacts"

    @property
    def cache_path(self) -> Path:
        """Folder for converted models and other things that can be made again."""
        return self.home / "cache"

    @property
    def logs_path(self) -> Path:
        """Folder for the output of workers, one file per job."""
        return self.home / "logs"
