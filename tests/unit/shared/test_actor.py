"""Actors and errors: who may, and what a refusal says."""

import pytest

from parlor.core.shared.actor import SYSTEM, ActorKind, PermissionMissing
from parlor.core.shared.errors import Busy, Flaw, Invalid, NotFound, ParlorError, TooMany
from tests.builders import an_actor


def test_an_actor_may_what_it_holds() -> None:
    actor = an_actor("tasks:create")
    actor.must("tasks:create")
    assert actor.may("tasks:create")
    assert not actor.may("tasks:create:http_request")


def test_a_missing_permission_is_named() -> None:
    with pytest.raises(PermissionMissing, match="This needs the permission users:manage"):
        an_actor("tasks:create").must("users:manage")


def test_the_system_is_nobody_and_holds_nothing() -> None:
    assert (SYSTEM.kind, SYSTEM.id, SYSTEM.user_id) == (ActorKind.SYSTEM, None, None)
    assert not SYSTEM.may("tasks:create")


def test_an_error_says_its_classes_sentence_unless_told_another() -> None:
    assert NotFound().detail == "There is no such thing, or it is not visible to you."
    assert str(NotFound("No user has this address.")) == "No user has this address."


def test_an_error_of_no_known_kind_is_internal() -> None:
    assert ParlorError().code == "internal_error"


def test_an_error_may_say_when_to_come_back() -> None:
    assert (Busy().retry_after, TooMany(retry_after=7).retry_after) == (1, 7)


def test_an_invalid_request_lists_its_flaws() -> None:
    flaw = Flaw("/email", "invalid_email", "This is not an e-mail address.")
    assert Invalid(flaws=[flaw]).flaws == (flaw,)
    assert Invalid().flaws == ()
