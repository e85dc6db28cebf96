"""AdmitForeign: which orders over the broker are taken, for whom, and why one is not."""

from typing import ClassVar
from uuid import UUID

import pytest

from parlor.core.identity.model import UserStatus
from parlor.core.shared.actor import ActorKind
from parlor.core.shared.ids import TaskId, UserId, uuid7
from parlor.core.tasks.foreign import AdmitForeign, ForeignOrder, Producers, Refused
from parlor.core.tasks.http_request import HttpRequestHandler
from parlor.core.tasks.model import Requester, TaskStatus
from parlor.core.tasks.ports import Checked
from tests.builders import a_user, an_order
from tests.fakes.tasks import NoteHandler, kinds_that
from tests.fakes.work import FakeDatabase

ADA = UserId(UUID("01890a5d-ac96-774b-bcce-b302099a8057"))


class FakeHttpRequest(NoteHandler):
    """The one kind with a permission that producers may run."""

    kind = HttpRequestHandler.kind
    permission: ClassVar[str | None] = "tasks:create:http_request"


def admitting(producers: Producers | None = None, database: FakeDatabase | None = None) -> AdmitForeign:
    kinds = kinds_that(more=[FakeHttpRequest()])
    return AdmitForeign(kinds, producers or Producers(), (database or FakeDatabase()).work)


def an_order_by(requested_by: str | None = None, **fields: object) -> ForeignOrder:
    return ForeignOrder(TaskId(uuid7()), an_order(**fields), requested_by)


async def test_an_order_becomes_a_task_with_its_secrets_apart() -> None:
    foreign = an_order_by(payload={"text": "hi", "password": "s"}, max_attempts=2)
    task = await admitting()(foreign)
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
async def test_producers_may_run_what_is_listed_for_them(
    producers: Producers, kind: str, reason: str | None
) -> None:
    """By default every kind without a permission of its own, and `http_request`."""
    if reason is None:
        assert (await admitting(producers)(an_order_by(kind=kind))).kind == kind
        return
    with pytest.raises(Refused) as refused:
        await admitting(producers)(an_order_by(kind=kind))
    assert refused.value.reason == reason


async def test_a_payload_that_its_kind_does_not_take_is_refused_with_the_places() -> None:
    with pytest.raises(Refused) as refused:
        await admitting()(an_order_by(payload={"text": 1, "more": "secret value"}))
    assert refused.value.reason == "invalid_payload"
    assert "/payload/text" in refused.value.detail
    assert "/payload/more" in refused.value.detail
    assert "secret value" not in refused.value.detail


@pytest.mark.parametrize("said", [str(ADA), "ada"])
async def test_a_producer_that_is_not_trusted_speaks_for_nobody(said: str) -> None:
    assert (await admitting()(an_order_by(said))).requested_by == Requester(ActorKind.PRODUCER)


def with_ada(*roles: str, status: UserStatus = UserStatus.ACTIVE) -> FakeDatabase:
    database = FakeDatabase()
    database.store.identity.users[ADA] = a_user(id=ADA, roles=frozenset(roles), status=status)
    return database


async def test_a_trusted_producer_may_speak_for_a_user() -> None:
    trusted = admitting(Producers(trusted=True), with_ada("user"))
    task = await trusted(an_order_by(str(ADA)))
    assert task.requested_by == Requester(ActorKind.USER, id=ADA, user_id=ADA)
    assert (await trusted(an_order_by())).requested_by == Requester(ActorKind.PRODUCER)


@pytest.mark.parametrize(
    ("database", "kind"),
    [
        (FakeDatabase(), "note"),
        (with_ada(), "note"),
        (with_ada("user"), "http_request"),
        (with_ada("user", status=UserStatus.DISABLED), "note"),
    ],
    ids=["nobody", "who may create no task", "who may not run this kind", "who is disabled"],
)
async def test_a_trusted_producer_may_ask_for_no_more_than_the_user(
    database: FakeDatabase, kind: str
) -> None:
    with pytest.raises(Refused) as refused:
        await admitting(Producers(trusted=True), database)(an_order_by(str(ADA), kind=kind))
    assert refused.value.reason == "forbidden_kind"


async def test_what_a_user_may_is_not_bounded_by_what_producers_may() -> None:
    none_of_their_own = Producers(kinds=frozenset(), trusted=True)
    task = await admitting(none_of_their_own, with_ada("user"))(an_order_by(str(ADA)))
    assert task.requested_by.user_id == ADA


async def test_a_trusted_producer_must_name_a_user_by_the_id() -> None:
    with pytest.raises(Refused) as refused:
        await admitting(Producers(trusted=True))(an_order_by("ada"))
    assert refused.value.reason == "invalid_message"


async def test_what_is_kept_of_a_payload_is_what_the_check_answered() -> None:
    task = await admitting()(an_order_by(payload={}))
    assert Checked(task.payload, task.secrets) == Checked({"text": "hello"}, None)
