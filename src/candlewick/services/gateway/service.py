"""The gateway: wiring."""

import msgspec

from candlewick.kernel.lifecycle import Health, ServiceSpec, State, Subscription
from candlewick.ports.runtime import Context
from candlewick.services.gateway.api.routes import Door, new_router
from candlewick.services.gateway.domain import ROUTES, SERVICES
from candlewick.services.gateway.handlers.keeping import KeptAnswers
from candlewick.services.gateway.handlers.overview import Overview, Status
from candlewick.services.gateway.settings import GatewaySettings

_WATCHED = ("raw.market-data", "collector.connections", "history.gaps", "history.candles")


class Gateway:
    """One door; the page itself is served by the application around it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._overview = Overview(context.clock, context.log)
        clients = {name: context.client(name) for name in SERVICE.calls}
        self.router = new_router(context, self._overview, context.client("gateway"), clients)
        self._history = clients["history"]
        door = Door(context, KeptAnswers(context.answers, clients, context.clock))
        self.hot = {prefix: door for prefix, _ in ROUTES}
        self.schemas: tuple[type[msgspec.Struct], ...] = (Status,)

    async def start(self) -> None:
        await self._overview.load_gaps(self._history)
        await self._context.messaging.follow(_WATCHED, self._overview.on_events)

    async def stop(self) -> None:
        """Nothing in hand."""

    def health(self) -> Health:
        return Health(State.READY)


SERVICE: ServiceSpec[Context] = ServiceSpec(
    name="gateway",
    place=0,
    purpose="The only public door: routes every path to its service, serves the page and the status of the whole.",
    settings=GatewaySettings,
    build=Gateway,
    consumes=tuple(Subscription(topic, "broadcast") for topic in _WATCHED),
    calls=(*SERVICES, "stream", "collector"),
    needs=frozenset({"answers"}),
)
