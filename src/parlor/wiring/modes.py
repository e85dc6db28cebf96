"""What a process is: which servers stand behind it, and what it does with the bus."""

from enum import StrEnum


class Mode(StrEnum):
    """Which adapters stand behind cache, feed and bus."""

    EMBEDDED = "embedded"
    SERVICES = "services"

    @property
    def broker(self) -> str:
        """What carries messages, as traces name it."""
        return "rabbitmq" if self is Mode.SERVICES else "parlor"


class Role(StrEnum):
    """What a process does with the bus: a worker runs what comes, a relay only sends, an API process only looks."""

    API = "api"
    RELAY = "relay"
    WORKER = "worker"
