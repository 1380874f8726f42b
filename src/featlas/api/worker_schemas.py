"""The shapes of what the API says about workers."""

import datetime as dt

from pydantic import Field

from featlas.api.schemas import Answer


class Worker(Answer):
    """A process that takes jobs of some queues."""

    host: str
    pid: int
    queues: list[str]
    version: str = Field(description="Of Featlas; should be the server's own.")
    started_at: dt.datetime
    seen_at: dt.datetime
    is_alive: bool = Field(description="Whether it was heard of within three leases.")


class Workers(Answer):
    """Who works on the jobs of this store."""

    items: list[Worker]
    has_runner: bool = Field(description="Whether this server works on queued jobs itself.")
    version: str = Field(description="Of this server.")
