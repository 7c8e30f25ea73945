"""The stream processor's runtime as the cluster profile makes it; no server is asked."""

import pytest

from candlewick.adapters.stream.quix import SHADOW, QuixStreamRuntime
from candlewick.app.cluster.processes import environment
from candlewick.app.configuration import AppSettings, ClusterSettings, read
from candlewick.app.profiles.cluster import ClusterResources, ShadowWithoutGroup
from candlewick.kernel.settings import BadSettings

GROUP = "stream.candles.2"
SERVERS = {
    "kafka_brokers": "127.0.0.1:1",
    "redis_url": "redis://127.0.0.1:1",
    "s3_url": "http://k:s@127.0.0.1:1/b",
}


async def runtime(folder, **settings):
    servers = ClusterSettings(**SERVERS, **settings)
    resources = ClusterResources(folder, AppSettings(), servers, services=["stream"], mode="live")
    made = await resources.own("stream", "stream", "a")
    assert isinstance(made, QuixStreamRuntime)
    return made


@pytest.mark.parametrize(
    ("settings", "group", "suffix", "folder"),
    [
        ({}, None, "", "stream"),
        ({"stream_group": GROUP}, GROUP, "", f"stream/{GROUP}"),
        ({"stream_group": GROUP, "stream_shadow": True}, GROUP, SHADOW, f"stream/{GROUP}"),
    ],
)
async def test_group_suffix_and_folder_follow_from_the_settings(tmp_path, settings, group, suffix, folder):
    made = await runtime(tmp_path, **settings)
    assert (made._group, made._suffix, made._state_dir) == (group, suffix, tmp_path / folder)


async def test_a_shadow_without_a_group_of_its_own_is_refused(tmp_path):
    with pytest.raises(ShadowWithoutGroup, match=r"stream_group, which is empty\. Begin with 'candlewick shadow begin"):
        await runtime(tmp_path, stream_shadow=True)
    assert ShadowWithoutGroup.code == "SHADOW_WITHOUT_GROUP"


@pytest.mark.parametrize("name", ["../up", "a b", ".hidden", "a/b", "x" * 101])
def test_a_group_that_could_not_name_a_topic_and_a_folder_is_refused(tmp_path, name):
    with pytest.raises(BadSettings, match=r"cluster\.stream_group"):
        _ = read(data_dir=tmp_path, flags=[f"cluster.stream_group={name}"], environ={}).cluster


def test_a_process_of_a_version_without_these_settings_is_not_told_of_them(tmp_path):
    """It would refuse to start: 'deploy rollback' would end nowhere."""
    given = ["cluster.kafka_brokers=k:1", "cluster.postgres_admin_url="]
    config = read(data_dir=tmp_path, flags=given, environ={})
    servers, loaded = config.section(ClusterSettings, "cluster")
    assert environment(servers, loaded.sources) == {
        "CANDLEWICK_CLUSTER__KAFKA_BROKERS": "k:1",
        # said by somebody, if only to take it back
        "CANDLEWICK_CLUSTER__POSTGRES_ADMIN_URL": "",
    }
    config = read(data_dir=tmp_path, flags=[f"cluster.stream_group={GROUP}", "cluster.stream_shadow=true"], environ={})
    servers, loaded = config.section(ClusterSettings, "cluster")
    told = environment(servers, loaded.sources)
    assert read(data_dir=tmp_path, environ=told).cluster == servers
