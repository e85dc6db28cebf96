"""Orders tasks as fast as the use case takes them, one transaction each: `python -m benchmarks.enqueue COUNT`."""

import uvloop

from benchmarks.noop import Noop, make_container
from benchmarks.producing import arguments, produce
from parlor.config import Settings
from parlor.core.shared.actor import Actor, ActorKind
from parlor.core.shared.ids import UserId, uuid7
from parlor.core.tasks.model import Order
from parlor.core.tasks.use_cases import EnqueueTask
from parlor.entrypoints import logs


def somebody() -> Actor:
    """Make a user who may order tasks; no table asks for more."""
    user_id = UserId(uuid7())
    return Actor(kind=ActorKind.USER, id=user_id, user_id=user_id, permissions=frozenset({"tasks:create"}))


async def main() -> None:
    settings = Settings()
    logs.configure(settings.log_level)
    container = make_container(settings)
    await container.start()
    enqueue, actor = container.command(EnqueueTask), somebody()

    async def send(number: int) -> str:
        return str((await enqueue(actor, Order(kind=Noop.kind, payload={"number": number}))).task_id)

    await produce(arguments("enqueue"), send)
    await container.close()


if __name__ == "__main__":
    uvloop.run(main())
