"""The server's own figures, where Prometheus looks for them; not part of the API."""

from fastapi import APIRouter, Request, Response

from featlas.api.metrics import MEDIA_TYPE

router = APIRouter()


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:  # in no thread of the pool: it answers when all of them hang
    """Everything that is counted, in the text format of Prometheus."""
    return Response(await request.app.state.metrics.text(), headers={"Content-Type": MEDIA_TYPE})
