"""The servers of ``./dev servers`` are what adapters expect: a look at each that runs, a skip where none does."""

import asyncio
import uuid

import httpx
import pytest

from candlewick.testing.servers import address, why_not


def server(name):
    where = address(name)
    if where is None:
        pytest.skip(why_not(name))
    return where


async def test_postgres_decodes_logically_and_its_replica_follows():
    asyncpg = pytest.importorskip("asyncpg")
    primary, replica = await asyncpg.connect(server("postgres")), await asyncpg.connect(server("postgres_replica"))
    try:
        assert await primary.fetchval("SHOW wal_level") == "logical"
        assert await replica.fetchval("SELECT pg_is_in_recovery()") is True
        written = await primary.fetchval("SELECT pg_current_wal_lsn()::text")
        async with asyncio.timeout(5):
            while not await replica.fetchval(f"SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"):
                await asyncio.sleep(0.02)
    finally:
        await primary.close()
        await replica.close()


def test_kafka_has_three_brokers_and_keeps_a_topic_three_times():
    admin_module = pytest.importorskip("confluent_kafka.admin")
    admin = admin_module.AdminClient({"bootstrap.servers": server("kafka")})
    assert len(admin.describe_cluster().result(10).nodes) == 3
    topic = f"look-{uuid.uuid4().hex}"
    admin.create_topics([admin_module.NewTopic(topic, 1)])[topic].result(20)
    try:
        metadata = admin.list_topics(topic, timeout=10)
        assert len(metadata.topics[topic].partitions[0].replicas) == 3
    finally:
        admin.delete_topics([topic])[topic].result(20)


def test_the_registry_refuses_an_incompatible_schema():
    root, subject = server("registry"), f"look-{uuid.uuid4().hex}-value"

    def register(kind):
        schema = f'syntax = "proto3"; message P {{ {kind} price = 1; }}'
        return httpx.post(f"{root}/subjects/{subject}/versions", json={"schemaType": "PROTOBUF", "schema": schema})

    assert register("int64").status_code == 200
    try:
        assert register("string").status_code == 409
    finally:
        httpx.delete(f"{root}/subjects/{subject}")


async def test_a_quorum_queue_keeps_a_message():
    aio_pika = pytest.importorskip("aio_pika")
    connection = await aio_pika.connect(server("rabbitmq"))
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        name = f"look-{uuid.uuid4().hex}"
        queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"kept"), name)
        assert (await queue.get(timeout=5)).body == b"kept"
        await queue.delete(if_empty=False, if_unused=False)


def test_the_bucket_is_there_and_creates_an_object_once():
    obstore = pytest.importorskip("obstore")
    from obstore.exceptions import AlreadyExistsError
    from obstore.store import S3Store

    where = httpx.URL(server("s3"))
    store = S3Store(
        where.path.strip("/"),
        endpoint=f"http://{where.host}:{where.port}",
        access_key_id=where.username,
        secret_access_key=where.password,
        region="us-east-1",
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )
    key = f"look/{uuid.uuid4().hex}"
    obstore.put(store, key, b"one", mode="create")
    with pytest.raises(AlreadyExistsError):
        obstore.put(store, key, b"two", mode="create")
    obstore.delete(store, key)


@pytest.mark.parametrize(
    ("name", "path", "says"),
    [("prometheus", "/api/v1/status/buildinfo", '"version"'), ("toxiproxy", "/proxies", "{")],
)
def test_the_rest_answers(name, path, says):
    answer = httpx.get(server(name) + path)
    assert answer.status_code == 200
    assert says in answer.text
