"""Commands and the control plane among the processes of a cluster, kept by RabbitMQ."""

import logging

from candlewick.adapters.queue.rabbitmq.control import RabbitControlPlane
from candlewick.adapters.queue.rabbitmq.queue import RabbitQueue

# What happens to a connection is told by the calls that need it; the client would tell it again, with stack traces.
for _client in ("aiormq", "aio_pika"):
    logging.getLogger(_client).setLevel(logging.CRITICAL)

__all__ = ["RabbitControlPlane", "RabbitQueue"]
