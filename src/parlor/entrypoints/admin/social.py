"""What people do together: parties, chats, and messages."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement

from parlor.adapters.sql import tables
from parlor.container import Container
from parlor.core.chats.posting import DeleteMessage
from parlor.core.parties.use_cases import EndParty
from parlor.core.shared.errors import Invalid
from parlor.entrypoints.admin import rows
from parlor.entrypoints.admin.actions import Action
from parlor.entrypoints.admin.filters import Filter, id_is, uuid_in
from parlor.entrypoints.admin.lists import Rows
from parlor.entrypoints.admin.related import Related
from parlor.wiring.console import name_grams

SOCIAL = "Together"
MANAGE_PARTIES = "parties:manage"
MODERATE = "chats:moderate"
SHORTEST_PART = 3  # shorter ones are in no index


class Parties(Rows, model=rows.Party):
    """Every party, private ones too."""

    name, name_plural, icon, category = "Party", "Parties", "fa-solid fa-champagne-glasses", SOCIAL
    about = "Parties with their members, invitations and bans."
    permissions = (MANAGE_PARTIES,)
    column_list = ["name", "visibility", "owner", "member_count", "capacity", "created_at"]
    column_details_list = [
        "name",
        "description",
        "visibility",
        "owner",
        "member_count",
        "capacity",
        "chat",
        "id",
        "created_at",
        "updated_at",
    ]
    column_labels = {"member_count": "Members", "capacity": "Seats"}
    searches = "part of the name, or id"
    related = (
        Related(
            "Members", rows.PartyMember, "party_id", "joined_at", ("user", "role", "joined_at"), ("user",)
        ),
        Related(
            "Invitations",
            rows.PartyInvitation,
            "party_id",
            "created_at",
            ("guest", "inviter", "status", "created_at", "expires_at"),
            ("guest", "inviter"),
        ),
        Related("Bans", rows.PartyBan, "party_id", "banned_at", ("user", "by", "banned_at"), ("user", "by")),
    )

    def search(self, term: str) -> ColumnElement[bool]:
        """Find a part of the name."""
        found = uuid_in(term)
        if found is not None:
            return tables.parties.c.id == found
        grams = name_grams(term)
        if sum(map(str.isalnum, grams)) < SHORTEST_PART:
            raise Invalid("A part of a name has three letters or more.")
        return tables.parties.c.name_grams.contains(grams, autoescape=True)

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Delete."""
        end = container.command(EndParty)
        return (
            Action(
                "delete",
                "Delete",
                "deleted",
                MANAGE_PARTIES,
                lambda doer, row: end(doer.actor, row.id),
                question="The party ends for everybody in it, with its chat, its invitations and its bans.",
                danger=True,
            ),
        )


class Chats(Rows, model=rows.Chat):
    """Every chat."""

    name, name_plural, icon, category = "Chat", "Chats", "fa-solid fa-comments", SOCIAL
    about = "Direct chats, groups, and those of parties."
    permissions = (MODERATE,)
    column_list = ["title", "kind", "party", "member_count", "created_at", "ended_at"]
    column_details_list = [*column_list, "id", "updated_at"]
    column_labels = {"member_count": "Members"}
    elsewhere = (("Messages", "message", "chat"),)


class Messages(Rows, model=rows.Message):
    """What was written."""

    name, name_plural, icon, category = "Message", "Messages", "fa-solid fa-comment-dots", SOCIAL
    about = "What was written; a moderator erases what must not stay."
    permissions = (MODERATE,)
    column_list = ["text", "author", "chat", "seq", "created_at", "deleted_at"]
    column_details_list = [
        "text",
        "author",
        "chat",
        "kind",
        "seq",
        "reactions",
        "reply_to",
        "id",
        "created_at",
        "edited_at",
        "deleted_at",
    ]
    column_labels = {"seq": "No."}
    filters = (Filter("chat", "Chat (id)", id_is(tables.messages.c.chat_id)),)

    @classmethod
    def actions_of(cls, container: Container) -> Sequence[Action]:
        """Erase."""
        delete = container.command(DeleteMessage)
        return (
            Action(
                "delete",
                "Erase",
                "erased",
                MODERATE,
                lambda doer, row: delete(doer.actor, row.chat_id, row.id),
                question="The text is erased for everybody; its place in the chat stays.",
                danger=True,
                fits=lambda row: row.deleted_at is None,
            ),
        )
