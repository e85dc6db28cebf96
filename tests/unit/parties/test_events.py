"""Facts about parties: what subscribers in any language rely on."""

import pytest

from parlor.core.parties import events
from parlor.core.shared.events import Event, plain_fields
from parlor.core.shared.ids import ChatId, InvitationId, PartyId, UserId, uuid7

PARTY, USER, CHAT = PartyId(uuid7()), UserId(uuid7()), ChatId(uuid7())
INVITATION = InvitationId(uuid7())


@pytest.mark.parametrize(
    ("event", "name", "fields"),
    [
        (
            events.PartyFounded(PARTY, USER, "Dragons", "public", 8, CHAT),
            "party_founded",
            {"owner_id", "name", "visibility", "capacity", "chat_id"},
        ),
        (
            events.PartyChanged(PARTY, "Dragons", "public", 8),
            "party_changed",
            {"name", "visibility", "capacity"},
        ),
        (events.PartyEnded(PARTY), "party_ended", set[str]()),
        (events.OwnerChanged(PARTY, USER), "owner_changed", {"owner_id"}),
        (events.MemberJoined(PARTY, USER), "member_joined", {"user_id"}),
        (events.MemberLeft(PARTY, USER, "kicked"), "member_left", {"user_id", "reason"}),
        (events.MemberRoleChanged(PARTY, USER, "officer"), "member_role_changed", {"user_id", "role"}),
        (events.UserBanned(PARTY, USER), "user_banned", {"user_id"}),
        (events.BanLifted(PARTY, USER), "ban_lifted", {"user_id"}),
        (
            events.InvitationSent(PARTY, INVITATION, USER, USER),
            "invitation_sent",
            {"invitation_id", "inviter_id", "guest_id"},
        ),
        (
            events.InvitationAccepted(PARTY, INVITATION, USER),
            "invitation_accepted",
            {"invitation_id", "guest_id"},
        ),
        (
            events.InvitationDeclined(PARTY, INVITATION, USER),
            "invitation_declined",
            {"invitation_id", "guest_id"},
        ),
        (
            events.InvitationRevoked(PARTY, INVITATION, USER),
            "invitation_revoked",
            {"invitation_id", "guest_id"},
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_published_events_keep_their_names_and_fields(event: Event, name: str, fields: set[str]) -> None:
    assert (event.name, event.version, event.subject) == (f"parties.{name}", 1, PARTY)
    assert plain_fields(event).keys() == fields | {"party_id"}


def test_the_partys_name_travels_as_name() -> None:
    """In the event it stands beside the event's own name."""
    assert plain_fields(events.PartyChanged(PARTY, "Dragons", "public", 8))["name"] == "Dragons"
