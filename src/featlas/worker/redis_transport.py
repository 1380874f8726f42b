"""Redis as Celery's broker, with one difference: a message whose acknowledgement fails is out of the worker's hands.

Kombu keeps counting such a message as being worked on, and a worker that may hold one at a time then never takes
another, although it is idle and Redis is back. What Redis still has of the message it delivers again some time, which
does no harm: a bell only says where to look.
"""

from kombu.transport import redis, virtual


class QoS(redis.QoS):
    """Counts the messages in hand."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge a message; where that fails, it is not in hand any more, and the failure is raised."""
        try:
            super().ack(delivery_tag)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # kombu's signature
        """Give a message back; where that fails, it is not in hand any more, and the failure is raised."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except BaseException:
            virtual.QoS.ack(self, delivery_tag)
            raise


class Channel(redis.Channel):
    """Uses it."""

    QoS = QoS


class Transport(redis.Transport):
    """Uses it."""

    Channel = Channel
