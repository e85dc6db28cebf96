"""AdmitForeign: which orders over the broker are taken, for whom, and why one is not."""

from typing import ClassVar
from uuid import UUID

import pytest

from parlor.core.shared.actor import ActorKind
from parlor.core.shared.ids import TaskId, UserId, uuid7
from parlor.core.tasks.foreign import AdmitForeign, ForeignOrder, Producers, Refused
from parlor.core.tasks.http_request import HttpRequestHandler
from parlor.core.tasks.model import Requester, TaskStatus
from parlor.core.tasks.ports import Checked
from tests.builders import an_order
from tests.fakes.tasks import NoteHandler, kinds_that

ADA = UserId(UUID("01890a5d-ac96-774b-bcce-b302099a8057"))


class FakeHttpRequest(NoteHandler):
    """The one kind with a permission that producers may run."""

    kind = HttpRequestHandler.kind
    permission: ClassVar[str | None] = "tasks:create:http_request"


def admitting(producers: Producers | None = None) -> AdmitForeign:
    return AdmitForeign(kinds_that(more=[FakeHttpRequest()]), producers or Producers())


def an_order_by(requested_by: str | None = None, **fields: object) -> ForeignOrder:
    return ForeignOrder(TaskId(uuid7()), an_order(**fields), requested_by)


def test_an_order_becomes_a_task_with_its_secrets_apart() -> None:
    foreign = an_order_by(payload={"text": "hi", "password": "s"}, max_attempts=2)
    task = admitting()(foreign)
    assert (task.id, task.status, task.max_attempts) == (foreign.id, TaskStatus.QUEUED, 2)
    assert (task.payload, task.secrets) == ({"text": "hi"}, {"password": "s"})
    assert task.requested_by == Requester(ActorKind.PRODUCER)


@pytest.mark.parametrize(
    ("producers", "kind", "reason"),
    [
        (Producers(), "note", None),
        (Producers(), "http_request", None),
        (Producers(), "secret_note", "forbidden_kind"),
        (Producers(), "nonsense", "unknown_kind"),
        (Producers(kinds=frozenset({"secret_note"})), "secret_note", None),
        (Producers(kinds=frozenset({"secret_note"})), "note", "forbidden_kind"),
        (Producers(kinds=frozenset({"secret_note"})), "http_request", "forbidden_kind"),
        (Producers(kinds=frozenset()), "note", "forbidden_kind"),
        (Producers(kinds=frozenset({"nonsense"})), "nonsense", "unknown_kind"),
    ],
)
def test_producers_may_run_what_is_listed_for_them(
    producers: Producers, kind: str, reason: str | None
) -> None:
    """By default every kind without a permission of its own, and `http_request`."""
    if reason is None:
        assert admitting(producers)(an_order_by(kind=kind)).kind == kind
        return
    with pytest.raises(Refused) as refused:
        admitting(producers)(an_order_by(kind=kind))
    assert refused.value.reason == reason


def test_a_payload_that_its_kind_does_not_take_is_refused_with_the_places() -> None:
    with pytest.raises(Refused) as refused:
        admitting()(an_order_by(payload={"text": 1, "more": "secret value"}))
    assert refused.value.reason == "invalid_payload"
    assert "/payload/text" in refused.value.detail
    assert "/payload/more" in refused.value.detail
    assert "secret value" not in refused.value.detail


@pytest.mark.parametrize("said", [str(ADA), "ada"])
def test_a_producer_that_is_not_trusted_speaks_for_nobody(said: str) -> None:
    assert admitting()(an_order_by(said)).requested_by == Requester(ActorKind.PRODUCER)


def test_a_trusted_producer_may_speak_for_a_user() -> None:
    trusted = admitting(Producers(trusted=True))
    assert trusted(an_order_by(str(ADA))).requested_by == Requester(ActorKind.USER, id=ADA, user_id=ADA)
    assert trusted(an_order_by()).requested_by == Requester(ActorKind.PRODUCER)


def test_a_trusted_producer_must_name_a_user_by_the_id() -> None:
    with pytest.raises(Refused) as refused:
        admitting(Producers(trusted=True))(an_order_by("ada"))
    assert refused.value.reason == "invalid_message"


def test_what_is_kept_of_a_payload_is_what_the_check_answered() -> None:
    task = admitting()(an_order_by(payload={}))
    assert Checked(task.payload, task.secrets) == Checked({"text": "hello"}, None)
