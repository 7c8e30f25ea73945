"""Version N-1 and version N read each other's messages: neither needs the other to be gone.

The last release is what proto/released holds. The next version stands for any that the schema check lets pass: this
one with a field more in every message.
"""

import numpy as np
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet
from google.protobuf.json_format import MessageToDict

from candlewick.contracts import codec
from tools import check_proto, golden

NEWEST = 900
SAID_NEW = "said by a newer version"
PATHS = {kind.__name__: proto.DESCRIPTOR.full_name for kind, proto in codec.PROTO_OF.items()}
PATHS["Envelope"] = "candlewick.kernel.v1.Envelope"
NAMES = sorted(PATHS)


def classes(files):
    """A message class by the name in our contracts, of a set of schemas of its own."""
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(path))
        for name, path in PATHS.items()
        if is_in(pool, path)
    }


def is_in(pool, path):
    try:
        pool.FindMessageTypeByName(path)
    except KeyError:
        return False
    return True


def grown(files):
    """The schemas with one more field in every message that is no layout of columns [11]."""
    newer = FileDescriptorSet()
    newer.CopyFrom(files)
    for file in newer.file:
        if file.package.startswith("candlewick"):
            for message in file.message_type:
                if not check_proto.LAYOUT.search(f"{file.package}.{message.name}"):
                    message.field.add(
                        name="newer", number=NEWEST, type=FieldDescriptorProto.TYPE_STRING,
                        label=FieldDescriptorProto.LABEL_OPTIONAL,
                    )  # fmt: skip
    return newer


@pytest.fixture(scope="module")
def today():
    return check_proto.descriptor_set()


@pytest.fixture(scope="module")
def released():
    return classes(FileDescriptorSet.FromString(check_proto.RELEASED.read_bytes()))


@pytest.fixture(scope="module")
def newer(today):
    return classes(grown(today))


def decoded(name, data):
    return codec.decode_envelope(data) if name == "Envelope" else codec.decode(name, data)


def same(one, other):
    """Structs equal field by field, arrays by value."""
    if hasattr(one, "__struct_fields__"):
        return type(one) is type(other) and all(same(getattr(one, n), getattr(other, n)) for n in one.__struct_fields__)
    return np.array_equal(one, other) if isinstance(one, np.ndarray) else one == other


def speak_newer(message):
    """Fill the new field of a message and of those inside it."""
    for field, value in message.ListFields():
        if field.message_type is not None and not field.is_repeated:
            speak_newer(value)
    if "newer" in message.DESCRIPTOR.fields_by_name:
        message.newer = SAID_NEW


@pytest.mark.parametrize("path", sorted(golden.GOLDEN.glob("*.bin")), ids=lambda path: path.stem)
def test_what_an_older_version_wrote_is_read(path):
    name = path.name.partition(".")[0]
    assert type(decoded(name, path.read_bytes())).__name__ == name


@pytest.mark.parametrize("name", NAMES)
def test_the_last_release_reads_what_this_version_writes(name, released):
    data = golden.today()[name]
    if name not in released:
        pytest.skip(f"{name} is new since the last release, so nobody of it reads its topic")
    old, now = released[name].FromString(data), classes_of_today(name).FromString(data)
    known = {field.name for field in released[name].DESCRIPTOR.fields}
    assert MessageToDict(old) == {k: v for k, v in MessageToDict(now).items() if snake(k) in known}
    assert same(decoded(name, old.SerializeToString()), decoded(name, data)), "and hands on what it does not know"


def classes_of_today(name):
    kind = next((k for k in codec.PROTO_OF if k.__name__ == name), None)
    if kind is None:
        from candlewick.contracts._gen.candlewick.kernel.v1 import envelope_pb2

        return envelope_pb2.Envelope
    return codec.PROTO_OF[kind]


def snake(name):
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


@pytest.mark.parametrize("name", NAMES)
def test_this_version_reads_what_a_newer_one_writes_and_drops_what_it_does_not_know(name, newer):
    data = golden.today()[name]
    message = newer[name].FromString(data)
    speak_newer(message)
    said = message.SerializeToString(deterministic=True)
    assert SAID_NEW.encode() in said
    assert same(decoded(name, said), decoded(name, data))


@pytest.mark.parametrize("name", NAMES)
def test_a_newer_version_reads_this_one_s_with_the_new_field_at_its_default(name, newer):
    message = newer[name].FromString(golden.today()[name])
    assert message.newer == ""
    assert message.SerializeToString(deterministic=True) == golden.today()[name]


def test_columns_of_a_newer_layout_alone_are_refused_not_taken_for_an_empty_batch():
    """So a version that brings a layout writes the one before beside it until nobody reads only that."""
    proto = codec.PROTO_OF[next(k for k in codec.PROTO_OF if k.__name__ == "CandleBatch")]
    message = proto.FromString(golden.today()["CandleBatch"])
    message.ClearField("columns_v1")
    with pytest.raises(codec.BadPayload, match="column"):
        codec.decode("CandleBatch", message.SerializeToString())


def test_a_newer_version_s_new_message_is_told_apart_from_damage():
    with pytest.raises(codec.UnknownMessage):
        codec.decode("SomethingOfTheNextVersion", b"")
