"""Bytes as this version writes them, kept for ever: tests/contract/golden/<Message>.<n>.bin.

The highest number of a message is what the codec must write today, to the bit; the lower ones are what earlier versions
wrote, and must still be read. So a change of the wire shows in review as a new file, and never replaces an old one.
``python -m tools.golden`` fails when today's bytes differ from the newest file; ``--add`` writes the next one.
"""

import argparse
import sys
import zlib
from enum import IntEnum
from pathlib import Path
from typing import Any, get_origin, get_type_hints
from uuid import UUID

import msgspec
import numpy as np

from candlewick.contracts import codec
from candlewick.contracts.base import ColumnOf, Envelope

GOLDEN = Path(__file__).resolve().parent.parent / "tests/contract/golden"
ROWS = 3
ENVELOPE = Envelope(
    id=UUID("018bcfe5-6800-7000-8000-0000000000a1"),
    type="TradeBatch",
    ts_event=1_700_000_000_000_000_001,
    ts_recv=1_699_999_998_750_000_002,
    key="binance:BTC-USDT",
    producer="collector",
    schema_version=1,
    correlation_id=UUID("018bcfe5-6800-7000-8000-0000000000b2"),
    causation_id=UUID("018bcfe5-6800-8000-8000-0000000000c3"),
    sequence=4,
)


def sample(kind: type[msgspec.Struct]) -> Any:
    """One message of a type. A value depends on its field's name alone, so that a new field leaves the others be."""
    return kind(
        **{
            name: _value(name, hint)
            for name, hint in get_type_hints(kind, include_extras=True).items()
            if name in kind.__struct_fields__
        }
    )


def _value(name: str, hint: Any) -> Any:
    seed = zlib.crc32(name.encode())
    columns = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, ColumnOf)]
    if columns:
        info = np.iinfo(np.dtype(columns[0].dtype))
        return np.array([info.min, seed % 100, info.max], columns[0].dtype)
    if name.endswith("_scale"):
        return seed % 9
    if hint is bool:
        return True
    if hint is int:
        return seed
    if hint is str:
        return f"{name} \N{MIDDLE DOT} {seed}"
    if get_origin(hint) is tuple:
        return tuple(f"{name} {n} \N{MIDDLE DOT} {seed}" for n in range(ROWS))
    if issubclass(hint, IntEnum):
        return list(hint)[-1]
    return sample(hint)


def today() -> dict[str, bytes]:
    """The bytes that the codec writes now, by message name."""
    out = {kind.__name__: codec.encode(sample(kind)) for kind in codec.PROTO_OF}
    return {**out, "Envelope": codec.encode_envelope(ENVELOPE)}


def kept(name: str) -> list[Path]:
    """Golden files of a message, oldest first."""
    return sorted(GOLDEN.glob(f"{name}.*.bin"), key=lambda path: int(path.suffixes[-2][1:]))


def differing() -> list[str]:
    """Messages whose newest golden file is not what the codec writes."""
    return [name for name, data in today().items() if not kept(name) or kept(name)[-1].read_bytes() != data]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.golden", description=__doc__)
    parser.add_argument("--add", action="store_true", help="keep today's bytes of what differs as a new file")
    args = parser.parse_args()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    names = differing()
    for name in names:
        path = GOLDEN / f"{name}.{len(kept(name)) + 1}.bin"
        if args.add:
            path.write_bytes(today()[name])
        print(f"{name} is written differently" + (f": {path.name} added" if args.add else ""))
    return 0 if args.add or not names else 1


if __name__ == "__main__":
    sys.exit(main())
