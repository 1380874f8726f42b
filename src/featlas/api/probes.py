"""Answers /healthz and /readyz for what watches over the server: a load balancer, systemd, Kubernetes.

They stand before every guard, since a probe has no token and calls the server by its number; so they say nothing that
a stranger may not hear: no path, no address, no cause in the database's own words.
"""

import asyncio
from collections.abc import Callable, Mapping

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from featlas.api.patience import Patient
from featlas.errors import FeatlasError

LIMIT_S = 2.0
_KEEP_S = 1.0  # strangers who ask often do not make us ask as often
HEALTH, READINESS = "/healthz", "/readyz"

Check = Callable[[], str]
"""What is wrong, in words for anybody; "" where all is well."""


class Probes:
    """Answers the two addresses and passes everything else on."""

    def __init__(self, app: ASGIApp, checks: Mapping[str, Check]) -> None:
        self._app = app
        self._checks = {name: Patient(check, keep_s=_KEEP_S) for name, check in checks.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer or pass on."""
        is_look = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        path = scope["path"].removeprefix(scope.get("root_path", "")) if is_look else ""
        if path not in (HEALTH, READINESS):
            await self._app(scope, receive, send)
            return
        scope["probe"] = path  # for those who count requests by route
        await (await self._response(path))(scope, receive, send)

    async def _response(self, path: str) -> JSONResponse:
        if path == HEALTH:
            return JSONResponse({"status": "ok"})
        reasons = dict(zip(self._checks, await asyncio.gather(*map(self._reason, self._checks)), strict=True))
        is_ready = not any(reasons.values())
        checks = {name: reason or "ok" for name, reason in reasons.items()}
        status = "ready" if is_ready else "not ready"
        return JSONResponse(
            {"status": status, "checks": checks}, 200 if is_ready else 503, {"Cache-Control": "no-store"}
        )

    async def _reason(self, name: str) -> str:
        try:
            return await self._checks[name].answer(LIMIT_S)
        except TimeoutError:
            return f"does not answer within {LIMIT_S:.0f} s"
        except FeatlasError:
            return "failed"
