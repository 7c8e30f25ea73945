"""Settings of the $name service."""

from typing import Annotated

import msgspec
from msgspec import Meta


class ${Name}Settings(msgspec.Struct, frozen=True):
    """Which candles are looked at."""

    timeframe_s: Annotated[int, Meta(gt=0, description="Timeframe of the closes that are kept, in seconds.")] = 60
