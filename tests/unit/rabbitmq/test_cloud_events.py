"""Events as a subscriber's library reads them."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from pamqp import decode

from parlor.adapters.rabbitmq.cloud_events import attributes
from parlor.core.shared.bus import Fact
from parlor.core.shared.ids import EventId

AT = datetime(2026, 11, 21, 16, 30, 5, 120_000, UTC)


def headers(*, name: str = "tasks.task_succeeded", at: datetime = AT, sequence: int = 2) -> dict[str, object]:
    fact = Fact(EventId(UUID(int=1)), name, 3, UUID(int=2), sequence, at, {"kind": "noop"})
    written = attributes(fact)
    return dict(decode.field_table(len(written).to_bytes(4) + written)[1])


def test_an_event_is_a_cloud_event_in_binary_mode() -> None:
    assert headers() == {
        "cloudEvents:specversion": "1.0",
        "cloudEvents:source": "/parlor",
        "cloudEvents:type": "parlor.tasks.task_succeeded.v3",
        "cloudEvents:id": str(UUID(int=1)),
        "cloudEvents:subject": str(UUID(int=2)),
        "cloudEvents:sequence": "00000000000000000002",
        "cloudEvents:time": "2026-11-21T16:30:05.120000Z",
    }


@pytest.mark.parametrize("name", ["a.b", "a.%s", "a." + "x" * 200])
def test_any_name_fits(name: str) -> None:
    assert headers(name=name)["cloudEvents:type"] == f"parlor.{name}.v3"


def test_a_whole_second_has_no_fraction() -> None:
    assert headers(at=AT.replace(microsecond=0))["cloudEvents:time"] == "2026-11-21T16:30:05Z"


def test_the_largest_sequence_fits() -> None:
    assert headers(sequence=2**63 - 1)["cloudEvents:sequence"] == "09223372036854775807"
