"""Advisory locks of a service's database. They are the database's own, so services do not meet in them."""

WRITER = 0x43414E444C4501
MIGRATION = 0x43414E444C4502
