"""The rules of one public party, written down a second time: what each step answers, and who sits where afterwards."""

from dataclasses import dataclass, field

OWNER, OFFICER, MEMBER = "owner", "officer", "member"


@dataclass
class Book:
    """People are numbers; `roles` are in the order in which they sat down."""

    capacity: int
    roles: dict[int, str] = field(default_factory=lambda: {0: OWNER})
    banned: set[int] = field(default_factory=set)
    guests: set[int] = field(default_factory=set)

    def step(self, does: str, who: int, whom: int) -> str | None:
        """Do what is allowed; answer the code of what is not."""
        if not self.roles:
            return "not_found"
        answer: str | None = getattr(self, does)(who, whom)
        return answer

    def join(self, who: int, _: int) -> str | None:
        if who in self.roles:
            return None
        if who in self.banned:
            return "banned"
        if len(self.roles) >= self.capacity:
            return "party_full"
        self.roles[who] = MEMBER
        self.guests.discard(who)
        return None

    def leave(self, who: int, _: int) -> str | None:
        if who not in self.roles:
            return "not_a_member"
        self._goes(who)
        return None

    def kick(self, who: int, whom: int) -> str | None:
        refused = "not_found" if whom not in self.roles else self._below(who, whom)
        if refused is None:
            self._goes(whom)
        return refused

    def ban(self, who: int, whom: int) -> str | None:
        refused = self._below(who, whom)
        if refused is None:
            self.banned.add(whom)
            self.guests.discard(whom)
            self._goes(whom)
        return refused

    def lift(self, who: int, whom: int) -> str | None:
        if not self._leads(who):
            return "party_role_needed"
        self.banned.discard(whom)
        return None

    def invite(self, who: int, whom: int) -> str | None:
        if not self._leads(who):
            return "party_role_needed"
        if whom in self.banned:
            return "banned"
        if whom in self.roles:
            return "already_member"
        self.guests.add(whom)
        return None

    def promote(self, who: int, whom: int) -> str | None:
        return self._becomes(who, whom, OFFICER)

    def demote(self, who: int, whom: int) -> str | None:
        return self._becomes(who, whom, MEMBER)

    def hand_over(self, who: int, whom: int) -> str | None:
        if self.roles.get(who) != OWNER:
            return "party_role_needed"
        if whom not in self.roles:
            return "not_a_member"
        self.roles[who] = OFFICER
        self.roles[whom] = OWNER
        return None

    def resize(self, who: int, seats: int) -> str | None:
        if not self._leads(who):
            return "party_role_needed"
        if seats + 1 < len(self.roles):
            return "capacity_below_members"
        self.capacity = seats + 1
        return None

    def _becomes(self, who: int, whom: int, role: str) -> str | None:
        if whom not in self.roles:
            return "not_found"
        if self.roles.get(who) != OWNER:
            return "party_role_needed"
        if self.roles[whom] == OWNER:
            return "party_owner"
        self.roles[whom] = role
        return None

    def _leads(self, who: int) -> bool:
        return self.roles.get(who) in (OWNER, OFFICER)

    def _below(self, who: int, whom: int) -> str | None:
        if not self._leads(who):
            return "party_role_needed"
        if self.roles.get(whom) == OWNER:
            return "party_owner"
        return "party_role_needed" if self.roles[who] == self.roles.get(whom) == OFFICER else None

    def _goes(self, who: int) -> None:
        left = self.roles.pop(who, None)
        if left == OWNER and self.roles:
            officers = [one for one, role in self.roles.items() if role == OFFICER]
            self.roles[(officers or list(self.roles))[0]] = OWNER


STEPS = ("join", "leave", "kick", "ban", "lift", "invite", "promote", "demote", "hand_over", "resize")
