"""Passwords: changed by who knows the old one, reset by who reads the account's mail."""

import unicodedata
from dataclasses import dataclass

from parlor.core.identity.history import LoginEntry, Method, Outcome
from parlor.core.identity.mail_orders import MailOrder, Occasion
from parlor.core.identity.mail_tokens import Purpose, fingerprint_of
from parlor.core.identity.model import Client, User, check_email, email_key
from parlor.core.identity.ports import IdentityWork, PasswordHasher
from parlor.core.identity.throttling import LOGIN_BY_ACCOUNT, RESET_BY_ACCOUNT, Throttle
from parlor.core.identity.use_cases import PasswordPolicy, Principal
from parlor.core.shared.clock import Clock
from parlor.core.shared.errors import Contended, Forbidden, TooMany
from parlor.core.shared.work import UnitOfWork


class WrongPassword(Forbidden):
    """The password is not the account's present one."""

    code = "wrong_password"


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """Whoever acts in a session must know the password too before the account itself changes.

    Who does not is slowed down like at the login (a stolen session is no way to try passwords), and stands in the
    history.
    """

    work: UnitOfWork[IdentityWork]
    hasher: PasswordHasher
    throttle: Throttle
    clock: Clock

    async def __call__(self, principal: Principal, password: str, client: Client) -> User:
        """Answer the user, not locked: see `unchanged`. Raises WrongPassword, TooMany."""
        bucket = f"session:{principal.user.id}"
        try:
            await self.throttle.take(LOGIN_BY_ACCOUNT, bucket)
        except TooMany:
            await self._note(principal, Outcome.THROTTLED, client)
            raise
        async with self.work() as work:
            user = await work.users.find(principal.user.id)
        known = user.password_hash if user is not None else None
        right = await self.hasher.verify(unicodedata.normalize("NFC", password), known)
        if user is None or not right:
            await self._note(principal, Outcome.WRONG_PASSWORD, client)
            raise WrongPassword
        await self.throttle.give_back(LOGIN_BY_ACCOUNT, bucket)
        return user

    async def _note(self, principal: Principal, outcome: Outcome, client: Client) -> None:
        user_id, session_id = principal.user.id, principal.session_id
        async with self.work() as work:
            await work.history.add(
                LoginEntry(user_id, self.clock(), outcome, Method.SESSION, client, session_id)
            )


async def unchanged(work: IdentityWork, known: User) -> User:
    """Lock the user whose password was checked; raises Contended where it has changed since."""
    user = await work.users.get(known.id)
    if user.password_hash != known.password_hash:
        raise Contended("users.password_hash")
    return user


@dataclass(frozen=True, slots=True)
class ChangePassword:
    """A user who knows the password takes another one; every other session ends, and every older access token."""

    work: UnitOfWork[IdentityWork]
    check: CheckPassword
    hasher: PasswordHasher
    policy: PasswordPolicy
    clock: Clock

    async def __call__(
        self, principal: Principal, *, current_password: str, new_password: str, client: Client
    ) -> None:
        new_password = self.policy.check(new_password, pointer="/new_password")
        known = await self.check(principal, current_password, client)
        password_hash = await self.hasher.hash(new_password)
        now = self.clock()
        async with self.work() as work:
            user = await unchanged(work, known)
            user.change_password(password_hash, now)
            await work.users.save(user)
            await work.sessions.end(user, now, but=principal.session_id)
            await work.mail_tokens.revoke(user.id, purpose=Purpose.PASSWORD_RESET)
            await work.history.add(
                LoginEntry(
                    user.id, now, Outcome.PASSWORD_CHANGED, Method.SESSION, client, principal.session_id
                )
            )


@dataclass(frozen=True, slots=True)
class AskForReset:
    """Anybody has a token mailed to whoever owns an address. Who that is, if anybody, is looked up after the answer."""

    work: UnitOfWork[IdentityWork]
    throttle: Throttle

    async def __call__(self, *, email: str) -> None:
        order = MailOrder(Occasion.PASSWORD_RESET, check_email(email))
        await self.throttle.take(RESET_BY_ACCOUNT, email_key(order.email))
        async with self.work() as work:
            await work.mail_orders.add(order)


@dataclass(frozen=True, slots=True)
class ConfirmReset:
    """Whoever shows a mailed token gives its account a new password, once; every session ends."""

    work: UnitOfWork[IdentityWork]
    hasher: PasswordHasher
    policy: PasswordPolicy
    clock: Clock

    async def __call__(self, *, token: str, new_password: str, client: Client) -> None:
        new_password = self.policy.check(new_password, pointer="/new_password")
        fingerprint = fingerprint_of(token)
        async with self.work() as work:
            shown = await work.mail_tokens.find(fingerprint, Purpose.PASSWORD_RESET)  # before the costly hash
        password_hash = await self.hasher.hash(new_password)
        now = self.clock()
        async with self.work() as work:
            user = await work.users.get(shown.user_id)
            taken = await work.mail_tokens.take(fingerprint, Purpose.PASSWORD_RESET)
            taken.must_serve(user, now)
            user.change_password(password_hash, now)
            await work.users.save(user)
            await work.sessions.end(user, now)
            await work.history.add(
                LoginEntry(user.id, now, Outcome.PASSWORD_CHANGED, Method.PASSWORD, client)
            )
