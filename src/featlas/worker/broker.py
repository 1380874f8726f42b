"""Asks the broker whether it is there; all that is said to it otherwise is Celery's business."""

from featlas.errors import ExternalError, InputError


def require_broker(url: str, limit_s: float) -> None:
    """Raise ExternalError unless the broker at `url` answers within so many seconds, InputError for another URL."""
    import redis  # only where a broker is asked; most who serve have none

    try:
        client = redis.Redis.from_url(url, socket_timeout=limit_s, socket_connect_timeout=limit_s, retry=None)
    except ValueError as error:
        raise InputError("FEATLAS_BROKER_URL is no address of Redis; expected redis://host:6379/0") from error
    try:
        client.ping()
    except redis.RedisError as error:
        raise ExternalError(
            f"the broker does not answer: {type(error).__name__}; start Redis", retryable=True
        ) from error
    finally:
        client.close()
