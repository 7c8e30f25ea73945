"""Commands among the processes of a cluster, kept by RabbitMQ."""

from candlewick.adapters.queue.rabbitmq.queue import RabbitQueue

__all__ = ["RabbitQueue"]
