"""Roles: what may stand in one, who may give it, and what becomes of its holders."""

from dataclasses import dataclass, field

import pytest

from parlor.core.identity import roles
from parlor.core.identity.administration import AddRole, ChangeRole, GrantRole, RemoveRole, TakeRole
from parlor.core.identity.model import AccountDeleted, User, UserStatus
from parlor.core.identity.roles import (
    MANAGE_ROLES,
    MAX_ROLES_OF_ONE,
    OURS,
    BuiltinRole,
    InvalidPermission,
    LastAdmin,
    PermissionNotHeld,
    Permissions,
    Role,
    RoleExists,
    RoleInUse,
    TokenClaims,
    TooManyRoles,
    UnknownPermission,
    permitted,
)
from parlor.core.shared.actor import PermissionMissing
from parlor.core.shared.errors import Invalid, NotFound
from parlor.core.shared.ids import UserId, uuid7
from tests.builders import a_user, an_actor
from tests.fakes.clock import FakeClock
from tests.fakes.work import FakeDatabase

ROOT = an_actor(*OURS)
KEEPER = an_actor(MANAGE_ROLES)
USER = an_actor("tasks:create", "users:manage")


@dataclass(slots=True)
class Stage:
    """Every use case of roles, and the store that they share."""

    claims: TokenClaims = field(default_factory=TokenClaims)
    clock: FakeClock = field(default_factory=FakeClock)
    database: FakeDatabase = field(init=False)

    def __post_init__(self) -> None:
        self.database = FakeDatabase(self.clock)

    @property
    def add(self) -> AddRole:
        return AddRole(self.database.work, Permissions(OURS | {"tasks:create:booklet"}))

    @property
    def change(self) -> ChangeRole:
        return ChangeRole(self.database.work, Permissions())

    @property
    def remove(self) -> RemoveRole:
        return RemoveRole(self.database.work, self.claims, self.clock)

    @property
    def grant(self) -> GrantRole:
        return GrantRole(self.database.work, self.claims, self.clock)

    @property
    def take(self) -> TakeRole:
        return TakeRole(self.database.work, self.claims, self.clock)

    async def role(self, name: str = "watcher", *permissions: str) -> Role:
        return await self.add(ROOT, name=name, description="", permissions=permissions)

    async def user(self, *names: str, status: UserStatus = UserStatus.ACTIVE) -> User:
        user = a_user(roles=frozenset(names), status=status)
        async with self.database.work() as work:
            await work.users.add(user)
        return user

    def now(self, user: User) -> User:
        return self.database.store.identity.users[user.id]

    def roles(self) -> dict[str, Role]:
        return self.database.store.identity.roles

    def facts(self) -> list[tuple[str, object]]:
        return [(fact.name, fact.body) for fact in self.database.store.facts]


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def permit(stage: Stage, name: str, *permissions: str) -> Role:
    return await stage.change(ROOT, name, description=None, permissions=permissions)


# What may stand in a role


async def test_a_role_is_made_of_ours_and_of_other_services_words(stage: Stage) -> None:
    given = ["tasks:manage", "films:watch", "films:watch", "tasks:create:booklet", "films:watch:in_4-k"]
    role = await stage.add(ROOT, name="watcher", description="Watches.", permissions=given)
    assert role == stage.roles()["watcher"] == Role("watcher", "Watches.", frozenset(given))


@pytest.mark.parametrize(
    "permission",
    [
        "",
        "films",
        "films:",
        ":watch",
        "films::watch",
        "Films:watch",
        "films:watch all",
        "films:wätch",
        "*:*",
        "films:watch\n",
        "films:" + "x" * 59,
    ],
)
async def test_what_is_no_permission_is_refused_with_its_place(stage: Stage, permission: str) -> None:
    with pytest.raises(InvalidPermission) as refused:
        await stage.role("watcher", "films:watch", permission)
    assert [(flaw.pointer, flaw.code) for flaw in refused.value.flaws] == [
        ("/permissions/1", "invalid_permission")
    ]
    assert "watcher" not in stage.roles()


@pytest.mark.parametrize("permission", ["users:fly", "tasks:create:films", "roles:manage:all", "chats:x"])
async def test_our_own_words_in_another_place_are_refused(stage: Stage, permission: str) -> None:
    """A slip would else permit nothing, and nobody would be told."""
    with pytest.raises(UnknownPermission) as refused:
        await stage.role("watcher", permission)
    assert refused.value.flaws[0].pointer == "/permissions/0"
    with pytest.raises(UnknownPermission):
        await permit(stage, "user", permission)


async def test_a_name_is_taken_once(stage: Stage) -> None:
    await stage.role("watcher")
    for name in ("watcher", "admin"):
        with pytest.raises(RoleExists):
            await stage.role(name)


async def test_a_role_may_be_made_of_what_one_does_not_hold(stage: Stage) -> None:
    """Nobody has it by that."""
    role = await stage.add(KEEPER, name="watcher", description="", permissions=["users:manage"])
    assert role.permissions == {"users:manage"}


# Changes


async def test_what_is_not_given_stays(stage: Stage) -> None:
    await stage.role("watcher", "films:watch")
    changed = await stage.change(ROOT, "watcher", description="Sees.", permissions=None)
    assert changed == Role("watcher", "Sees.", frozenset({"films:watch"}))
    changed = await permit(stage, "watcher")
    assert changed == stage.roles()["watcher"] == Role("watcher", "Sees.")


async def test_what_one_does_not_hold_cannot_be_put_into_a_role(stage: Stage) -> None:
    """Its holders would have it; taking away is another thing."""
    await stage.role("watcher", "films:watch", "users:manage")
    for more in ("films:rate", "tasks:manage"):
        with pytest.raises(PermissionNotHeld):
            await stage.change(KEEPER, "watcher", description=None, permissions=["films:watch", more])
    for fewer in (["films:watch", MANAGE_ROLES], []):
        changed = await stage.change(KEEPER, "watcher", description=None, permissions=fewer)
        assert changed.permissions == set(fewer)


@pytest.mark.parametrize("name", ["admin", "user"])
async def test_a_built_in_role_is_never_empty_and_never_gone(stage: Stage, name: str) -> None:
    before = stage.roles()[name]
    with pytest.raises(BuiltinRole):
        await permit(stage, name)
    with pytest.raises(BuiltinRole):
        await stage.remove(ROOT, name)
    assert stage.roles()[name] == before


async def test_admins_keep_all_of_ours_and_may_have_more(stage: Stage) -> None:
    await stage.user("admin")
    with pytest.raises(BuiltinRole):
        await permit(stage, "admin", *OURS - {"tasks:manage"})
    changed = await permit(stage, "admin", *OURS, "films:watch")
    assert changed.permissions == OURS | {"films:watch"}


async def test_everybody_may_be_given_more_by_the_role_that_everybody_has(stage: Stage) -> None:
    changed = await permit(stage, "user", "tasks:create", "films:watch")
    assert changed.permissions == {"tasks:create", "films:watch"}


# Who holds one


async def test_a_role_is_granted_once_and_that_is_told(stage: Stage) -> None:
    await stage.role("watcher", "films:watch")
    user = await stage.user("user")
    stage.clock.advance(seconds=1)
    for _ in range(2):
        await stage.grant(ROOT, user.id, "watcher")
    now = stage.now(user)
    assert now.roles == {"user", "watcher"}
    assert (now.version, now.epoch, now.updated_at) == (2, 0, stage.clock())
    assert stage.facts() == [("identity.role_granted", {"user_id": str(user.id), "role": "watcher"})]


async def test_a_role_is_taken_once_and_that_is_told(stage: Stage) -> None:
    await stage.role("watcher")
    user = await stage.user("user", "watcher")
    stage.clock.advance(seconds=1)
    for _ in range(2):
        await stage.take(ROOT, user.id, "watcher")
    now = stage.now(user)
    assert now.roles == {"user"}
    assert (now.version, now.epoch, now.updated_at) == (2, 0, stage.clock())
    assert stage.facts() == [("identity.role_taken", {"user_id": str(user.id), "role": "watcher"})]


async def test_one_cannot_grant_what_one_does_not_hold(stage: Stage) -> None:
    """An admin, who holds all of ours, may grant the words of other services too."""
    await stage.role("watcher", "films:watch")
    user = await stage.user("user")
    for name in ("watcher", "admin", "user"):
        with pytest.raises(PermissionNotHeld):
            await stage.grant(KEEPER, user.id, name)
    await stage.grant(an_actor(MANAGE_ROLES, "films:watch"), user.id, "watcher")
    with pytest.raises(PermissionNotHeld):
        await stage.grant(an_actor(*OURS - {"tasks:manage"}), user.id, "watcher")
    await stage.grant(ROOT, user.id, "admin")
    assert stage.now(user).roles == {"user", "watcher", "admin"}


async def test_nobody_holds_more_roles_than_a_token_has_room_for(stage: Stage) -> None:
    names = [f"role{n}" for n in range(MAX_ROLES_OF_ONE + 1)]
    for name in names:
        await stage.role(name)
    user = await stage.user(*names[1:])
    with pytest.raises(TooManyRoles):
        await stage.grant(ROOT, user.id, names[0])
    await stage.grant(ROOT, user.id, names[1])


async def test_who_has_left_is_given_no_role(stage: Stage) -> None:
    await stage.role("watcher")
    user = await stage.user()
    async with stage.database.work() as work:
        gone = await work.users.get(user.id)
        gone.leave(stage.clock())
        await work.users.save(gone)
    with pytest.raises(AccountDeleted):
        await stage.grant(ROOT, user.id, "watcher")
    await stage.take(ROOT, user.id, "watcher")
    assert stage.now(user).roles == frozenset()


async def test_who_and_what_is_unknown_is_not_found(stage: Stage) -> None:
    user, nobody = await stage.user("user"), UserId(uuid7())
    for use in (stage.grant, stage.take):
        for user_id, name in ((user.id, "watcher"), (nobody, "user"), (nobody, "watcher")):
            with pytest.raises(NotFound):
                await use(ROOT, user_id, name)
    with pytest.raises(NotFound):
        await stage.remove(ROOT, "watcher")
    with pytest.raises(NotFound):
        await permit(stage, "watcher")


async def test_a_removed_role_is_taken_from_all_and_that_is_told(stage: Stage) -> None:
    await stage.role("watcher")
    holders = [await stage.user("user", "watcher") for _ in range(2)]
    await stage.remove(ROOT, "watcher")
    assert "watcher" not in stage.roles()
    assert [stage.now(user).roles for user in holders] == [{"user"}] * 2
    told = [("identity.role_taken", {"user_id": str(user.id), "role": "watcher"}) for user in holders]
    assert stage.facts() == told


async def test_a_role_of_too_many_is_not_removed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fakes.roles.MAX_HOLDERS", 1)
    await stage.role("watcher")
    for _ in range(2):
        await stage.user("watcher")
    with pytest.raises(RoleInUse):
        await stage.remove(ROOT, "watcher")


# Tokens that name roles


@pytest.mark.parametrize("named", [False, True])
async def test_where_tokens_name_roles_they_end_when_those_change(named: bool) -> None:
    stage = Stage(TokenClaims(roles=named))
    await stage.role("watcher")
    await stage.role("rater")
    granted, taken, removed = await stage.user("user"), await stage.user("watcher"), await stage.user("rater")
    for _ in range(2):
        await stage.grant(ROOT, granted.id, "watcher")
        await stage.take(ROOT, taken.id, "watcher")
    await stage.remove(ROOT, "rater")
    assert [stage.now(user).epoch for user in (granted, taken, removed)] == [int(named)] * 3


async def test_what_a_role_permits_is_in_no_token() -> None:
    stage = Stage(TokenClaims(roles=True))
    await stage.role("watcher")
    user = await stage.user("watcher")
    await permit(stage, "watcher", "films:watch")
    assert stage.now(user).epoch == 0


# Somebody is left who manages roles


async def test_the_last_who_manages_roles_keeps_doing_so(stage: Stage) -> None:
    await stage.role("keeper", MANAGE_ROLES)
    ada = await stage.user("user", "keeper")
    await stage.user("admin", status=UserStatus.DISABLED)
    with pytest.raises(LastAdmin):
        await stage.take(ROOT, ada.id, "keeper")
    with pytest.raises(LastAdmin):
        await stage.remove(ROOT, "keeper")
    with pytest.raises(LastAdmin):
        await permit(stage, "keeper", "films:watch")
    assert stage.now(ada) == ada
    assert stage.roles()["keeper"].permissions == {MANAGE_ROLES}
    assert stage.facts() == []
    await permit(stage, "keeper", "films:watch", MANAGE_ROLES)
    await stage.take(ROOT, ada.id, "user")


async def test_admins_cannot_all_be_undone_by_their_role(stage: Stage) -> None:
    await stage.user("admin")
    with pytest.raises(LastAdmin):
        await permit(stage, "admin", *OURS - {MANAGE_ROLES})


async def test_where_another_is_left_anybody_may_go(stage: Stage) -> None:
    await stage.role("keeper", MANAGE_ROLES)
    ada, _ = await stage.user("keeper", "admin"), await stage.user("keeper")
    await stage.take(ROOT, ada.id, "admin")
    await stage.take(ROOT, ada.id, "keeper")
    assert stage.now(ada).roles == set()


# Who may


async def test_without_the_permission_nothing_is_looked_at(stage: Stage) -> None:
    nobody = UserId(uuid7())
    tried = (
        stage.add(USER, name="watcher", description="", permissions=["nonsense"]),
        stage.change(USER, "nothing", description=None, permissions=["nonsense"]),
        stage.remove(USER, "nothing"),
        stage.grant(USER, nobody, "nothing"),
        stage.take(USER, nobody, "nothing"),
    )
    for trying in tried:
        with pytest.raises(PermissionMissing):
            await trying


def test_a_holder_of_several_roles_has_what_any_permits() -> None:
    book = {"a": frozenset({"films:watch"}), "b": frozenset({"films:rate"}), "c": frozenset({"films:cut"})}
    assert permitted(book, ["a", "b"]) == {"films:watch", "films:rate"}
    assert permitted(book, ["a", "gone"]) == {"films:watch"}
    assert permitted(book, []) == frozenset()


def test_every_permission_of_ours_has_the_form_of_one() -> None:
    assert Permissions().check(sorted(OURS)) == OURS
    with pytest.raises(Invalid):
        Permissions().check(["nonsense"])
    assert roles.ADMIN in roles.BUILT_IN
