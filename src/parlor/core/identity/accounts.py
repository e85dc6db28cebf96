"""What people do with their own account, beside logging in to it."""

from contextlib import suppress
from dataclasses import dataclass

from parlor.core.identity.events import UserRegistered
from parlor.core.identity.mail_orders import MailOrder, Occasion
from parlor.core.identity.mail_tokens import Purpose, fingerprint_of
from parlor.core.identity.model import EmailTaken, User, check_email, email_key
from parlor.core.identity.ports import IdentityWork, PasswordHasher
from parlor.core.identity.throttling import RESET_BY_ACCOUNT, Throttle
from parlor.core.identity.use_cases import PasswordPolicy, Principal
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import TooMany
from parlor.core.shared.preconditions import ANY_VERSION, Expected
from parlor.core.shared.work import UnitOfWork


@dataclass(frozen=True, slots=True)
class ChangeProfile:
    """A user changes what others see of them; None stays as it is."""

    work: UnitOfWork[IdentityWork]
    clock: Clock

    async def __call__(
        self, principal: Principal, *, display_name: str | None, expected: Expected = ANY_VERSION
    ) -> User:
        async with self.work() as work:
            user = await work.users.get(principal.user.id)
            expected.must_be(user.version)
            if display_name is not None and display_name != user.display_name:
                user.rename(display_name, self.clock())
                await work.users.save(user)
        return user


@dataclass(frozen=True, slots=True)
class RegisterUnseen:
    """Anybody asks for an account, and is not told whether the address has one already: its owner is, by mail.

    Known or unknown, the password is hashed and one mail is ordered. An owner gets five of them an hour at most.
    """

    work: UnitOfWork[IdentityWork]
    hasher: PasswordHasher
    policy: PasswordPolicy
    throttle: Throttle
    clock: Clock

    async def __call__(self, *, email: str, password: str, display_name: str | None) -> None:
        email = check_email(email)
        password_hash = await self.hasher.hash(self.policy.check(password, pointer="/password"))
        user = User.newcomer(email, password_hash, display_name=display_name, at=self.clock())
        try:
            async with self.work() as work:
                await work.users.add(user)
                work.publish(UserRegistered(user.id))
                await work.mail_orders.add(MailOrder(Occasion.EMAIL_VERIFICATION, email))
        except EmailTaken:
            await self._tell_the_owner(email)

    async def _tell_the_owner(self, email: str) -> None:
        with suppress(TooMany):
            await self.throttle.take(RESET_BY_ACCOUNT, f"account exists:{email_key(email)}")
            async with self.work() as work:
                await work.mail_orders.add(MailOrder(Occasion.ACCOUNT_EXISTS, email))


@dataclass(frozen=True, slots=True)
class AskForVerification:
    """A user has a token mailed to the account's address; nothing is sent where it is verified already."""

    work: UnitOfWork[IdentityWork]
    throttle: Throttle

    async def __call__(self, principal: Principal) -> None:
        await self.throttle.take(RESET_BY_ACCOUNT, f"verification:{principal.user.id}")
        async with self.work() as work:
            await work.mail_orders.add(MailOrder(Occasion.EMAIL_VERIFICATION, principal.user.email))


@dataclass(frozen=True, slots=True)
class ConfirmEmail:
    """Whoever shows a mailed token has proved that the address is its user's."""

    work: UnitOfWork[IdentityWork]
    clock: Clock

    async def __call__(self, *, token: str) -> None:
        fingerprint, now = fingerprint_of(token), self.clock()
        async with self.work() as work:
            shown = await work.mail_tokens.find(fingerprint, Purpose.EMAIL_VERIFICATION)
            user = await work.users.get(shown.user_id)
            taken = await work.mail_tokens.take(fingerprint, Purpose.EMAIL_VERIFICATION)
            taken.must_serve(user, now)
            user.verify_email(now)
            await work.users.save(user)
