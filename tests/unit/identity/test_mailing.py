"""The task that writes and sends a mail."""

import re
from dataclasses import dataclass, field

import pytest

from parlor.core.identity.mail_orders import MailOrder, Occasion
from parlor.core.identity.mail_tokens import Purpose, fingerprint_of
from parlor.core.identity.mailing import MailRefused, MailUnreachable, SendMailHandler
from parlor.core.identity.mails import Message
from parlor.core.identity.model import UserStatus
from parlor.core.shared.handling import Fail, Retry
from tests.builders import a_user
from tests.fakes.handling import FakeContext
from tests.unit.identity.conftest import Identity

URL = "https://parlor.example.org"
TOKEN = re.compile(r"token=([\w-]+)$", re.MULTILINE)


@dataclass(slots=True)
class FakeMail:
    """Port Mail: keeps what it is given, or fails as the test says."""

    sent: list[Message] = field(default_factory=list)
    error: Exception | None = None

    async def send(self, message: Message) -> None:
        if self.error is not None:
            raise self.error
        self.sent.append(message)


@pytest.fixture
def mail() -> FakeMail:
    return FakeMail()


async def post(
    identity: Identity, mail: FakeMail, occasion: Occasion, email: str, url: str | None = URL
) -> FakeContext:
    context = FakeContext()
    await SendMailHandler(identity.database.work, mail, identity.clock, url)(
        MailOrder(occasion, email), context
    )
    return context


def tokens(identity: Identity) -> dict[Purpose, bytes]:
    return {one.purpose: one.fingerprint for one in identity.database.store.identity.mail_tokens.values()}


async def test_a_reset_goes_to_the_address_as_its_owner_typed_it(identity: Identity, mail: FakeMail) -> None:
    """Not as a stranger typed it: full-width letters are another mailbox."""
    await identity.add(a_user(email="Ada@Example.org"))
    context = await post(identity, mail, Occasion.PASSWORD_RESET, "\uff41da@example.org")
    (message,) = mail.sent
    assert message.to == "Ada@Example.org"
    (token,) = TOKEN.findall(message.text)
    assert f"{URL}/#password-reset?token={token}\n" in message.text
    assert tokens(identity) == {Purpose.PASSWORD_RESET: fingerprint_of(token)}
    assert token not in repr(context.log.lines)
    assert "Example" not in repr(context.log.lines)


async def test_without_a_public_address_the_code_stands_by_itself(identity: Identity, mail: FakeMail) -> None:
    user = await identity.add()
    await post(identity, mail, Occasion.PASSWORD_RESET, user.email, None)
    assert "http" not in mail.sent[0].text
    assert fingerprint_of(mail.sent[0].text.split("\n")[6]) in tokens(identity).values()


@pytest.mark.parametrize("occasion", Occasion)
async def test_nobody_gets_a_mail_who_has_no_active_account(
    identity: Identity, mail: FakeMail, occasion: Occasion
) -> None:
    user = await identity.add(a_user(status=UserStatus.DISABLED))
    for address in (user.email, "nobody@example.org"):
        await post(identity, mail, occasion, address)
    assert (mail.sent, tokens(identity)) == ([], {})


@pytest.mark.parametrize("occasion", Occasion)
async def test_nothing_that_a_stranger_typed_is_in_a_mail(
    identity: Identity, mail: FakeMail, occasion: Occasion
) -> None:
    user = await identity.add(a_user(display_name="Buy at evil.example"))
    await post(identity, mail, occasion, user.email)
    (message,) = mail.sent
    assert "evil" not in message.text + message.subject
    assert message.text.isascii()
    assert all(len(line) < 200 for line in message.text.split("\n"))


async def test_a_verified_address_is_not_asked_to_verify_itself(identity: Identity, mail: FakeMail) -> None:
    user = await identity.add(a_user(email_verified=True))
    await post(identity, mail, Occasion.EMAIL_VERIFICATION, user.email)
    assert mail.sent == []


async def test_a_repeated_attempt_brings_the_token_that_counts(identity: Identity, mail: FakeMail) -> None:
    user = await identity.add()
    for _ in range(2):
        await post(identity, mail, Occasion.PASSWORD_RESET, user.email)
    older, newer = (fingerprint_of(TOKEN.findall(message.text)[0]) for message in mail.sent)
    assert older != newer
    assert list(tokens(identity).values()) == [newer]


async def test_an_owner_is_told_of_a_registration_without_any_token(
    identity: Identity, mail: FakeMail
) -> None:
    user = await identity.add()
    await post(identity, mail, Occasion.ACCOUNT_EXISTS, user.email)
    assert "token" not in mail.sent[0].text
    assert tokens(identity) == {}


async def test_what_cannot_be_delivered_ends_and_what_may_yet_be_is_tried_again(
    identity: Identity, mail: FakeMail
) -> None:
    user = await identity.add()
    mail.error = MailRefused("The mail server answered 550.")
    with pytest.raises(Fail) as refused:
        await post(identity, mail, Occasion.PASSWORD_RESET, user.email)
    assert (refused.value.code, refused.value.message) == ("mail_refused", "The mail server answered 550.")
    mail.error = MailUnreachable("The mail server answered 450.")
    with pytest.raises(Retry) as unreachable:
        await post(identity, mail, Occasion.PASSWORD_RESET, user.email)
    assert unreachable.value.code == "mail_unreachable"
