"""Settings of the gateway."""

from typing import Annotated

import msgspec
from msgspec import Meta


class GatewaySettings(msgspec.Struct, frozen=True):
    """How the door looks."""

    mode_detail: Annotated[str, Meta(description="What the page shows beside the mode, e.g. 'demo market'.")] = ""
