"""A schema registry that speaks the Confluent API."""

from candlewick.adapters.schemas.registry.registration import SchemaRegistration
from candlewick.adapters.schemas.registry.registry import SchemaRegistry

__all__ = ["SchemaRegistration", "SchemaRegistry"]
