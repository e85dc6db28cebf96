"""Mail over SMTP to a server that answers in every way, and into a folder."""

import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from parlor.adapters.mail import smtp
from parlor.adapters.mail.folder import FolderMail
from parlor.adapters.mail.nowhere import NoMail
from parlor.adapters.mail.smtp import SmtpMail, SmtpServer
from parlor.config import BadSettings
from parlor.container import make_container
from parlor.core.identity.mailing import Mail, MailRefused, MailUnreachable
from parlor.core.identity.mails import Message
from parlor.wiring.modes import Mode
from tests.certificates import a_certificate
from tests.fakes.container import settings_for_tests
from tests.smtp import Inbox, an_inbox

SENDER = "Parlor <no-reply@parlor.example.org>"
LINK = "https://parlor.example.org/#password-reset?token=" + "x" * 43
MESSAGE = Message("ada@example.org", "Choose a new password", f"Hello,\n\n{LINK}\n")


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    async with an_inbox() as inbox:
        yield inbox


def over(inbox: Inbox, credentials: str = "", scheme: str = "smtp") -> SmtpMail:
    return SmtpMail(SmtpServer.parse(f"{scheme}://{credentials}127.0.0.1:{inbox.port}"), sender=SENDER)


async def test_a_mail_arrives_as_it_was_written(inbox: Inbox) -> None:
    await over(inbox).send(MESSAGE)
    (raw,) = inbox.mails
    assert LINK.encode() + b"\r\n" in raw, "a link is not broken, and not encoded"
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert (mail["To"], mail["From"], mail["Subject"]) == (MESSAGE.to, SENDER, MESSAGE.subject)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@parlor.example.org>")
    assert "RCPT TO:<ada@example.org>" in inbox.said
    assert any(line.startswith("MAIL FROM:<no-reply@parlor.example.org>") for line in inbox.said)


async def test_user_and_password_are_shown_where_they_are_set(inbox: Inbox) -> None:
    await over(inbox, "post%40parlor:s%2Fecret@").send(MESSAGE)
    assert inbox.credentials == ["\0post@parlor\0s/ecret"]


async def test_an_address_in_any_script_is_written_to(inbox: Inbox) -> None:
    await over(inbox).send(Message("zoë@exämple.org", "Hello", "Hello\n"))
    assert "zoë@exämple.org".encode() in inbox.mails[0]


async def test_a_server_that_knows_only_ascii_is_not_asked_again(inbox: Inbox) -> None:
    inbox.extensions = ("mail.test",)
    with pytest.raises(MailRefused, match="addresses like this"):
        await over(inbox).send(Message("zoë@example.org", "Hello", "Hello\n"))


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("reply", "error"),
    [("550 no ada@example.org here", MailRefused), ("450 later, ada@example.org", MailUnreachable)],
    ids=["for good", "for now"],
)
async def test_what_a_server_says_decides_whether_it_is_tried_again(
    inbox: Inbox, command: str, reply: str, error: type[Exception]
) -> None:
    """Its words stay out of ours: they may repeat the address."""
    inbox.replies[command] = reply
    with pytest.raises(error) as raised:
        await over(inbox).send(MESSAGE)
    assert str(raised.value) == f"The mail server answered {reply[:3]}."


async def test_a_wrong_password_may_be_mended(inbox: Inbox) -> None:
    inbox.replies["AUTH"] = "535 no"
    with pytest.raises(MailUnreachable, match="user and password"):
        await over(inbox, "u:p@").send(MESSAGE)


async def test_a_server_that_is_away_or_silent_is_tried_again(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "TIMEOUT_S", 0.05)
    inbox.silent = True
    with pytest.raises(MailUnreachable):
        await over(inbox).send(MESSAGE)
    inbox.port = 1
    with pytest.raises(MailUnreachable):
        await over(inbox).send(MESSAGE)


async def test_no_mail_goes_to_a_server_that_cannot_prove_who_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_tls, client_tls = a_certificate(tmp_path, "localhost")
    async with an_inbox(server_tls) as inbox:
        mail = SmtpMail(SmtpServer.parse(f"smtps://localhost:{inbox.port}"), sender=SENDER)
        with pytest.raises(MailUnreachable):
            await mail.send(MESSAGE)
        assert inbox.mails == []
        monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: client_tls)
        await mail.send(MESSAGE)
        assert len(inbox.mails) == 1


@pytest.mark.parametrize(
    ("url", "start_tls"),
    [
        ("smtp://mail.example.org", None),
        ("smtp://u:p@mail.example.org", True),
        ("smtps://u:p@mail.example.org", False),
        ("smtp://u:p@localhost", False),
        ("smtp://u:p@127.0.0.1:25", False),
        ("smtp://u:p@[::1]:25", False),
    ],
)
def test_a_password_never_goes_in_the_clear(url: str, *, start_tls: bool | None) -> None:
    assert SmtpServer.parse(url).start_tls is start_tls


@pytest.mark.parametrize("line", ["a\r\nBcc: eve@example.org", "a\nb", "a\rb"])
async def test_no_line_break_reaches_a_header(inbox: Inbox, tmp_path: Path, line: str) -> None:
    for mail in (over(inbox), FolderMail(tmp_path, sender=SENDER)):
        for message in (Message(f"{line}@example.org", "x", "x"), Message("a@example.org", line, "x")):
            with pytest.raises(MailRefused):
                await mail.send(message)
    assert (inbox.mails, list(tmp_path.iterdir())) == ([], [])


async def test_a_folder_gets_a_whole_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    await FolderMail(folder, sender=SENDER).send(MESSAGE)
    await FolderMail(folder, sender=SENDER).send(MESSAGE)
    first, second = sorted(folder.iterdir())
    assert first.suffix == second.suffix == ".eml"
    assert first.stat().st_mode & 0o777 == 0o600
    mail = email.message_from_bytes(first.read_bytes(), policy=email.policy.default)
    assert mail["To"] == MESSAGE.to
    assert LINK in mail.get_content()


async def test_a_folder_that_takes_nothing_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MailUnreachable):
        await FolderMail(tmp_path / "file", sender=SENDER).send(MESSAGE)


def mail_with(given: dict[str, str] | None = None, mode: Mode = Mode.EMBEDDED) -> Mail:
    servers = {"DATABASE_URL": "postgresql://x/x", "REDIS_URL": "redis://x", "RABBITMQ_URL": "amqp://x"}
    return make_container(settings_for_tests(**servers, **(given or {})), mode=mode).get(Mail)


def test_mail_goes_to_the_server_then_the_folder_then_nowhere(tmp_path: Path) -> None:
    both = {"PARLOR_SMTP_URL": "smtp://mail.example.org", "PARLOR_MAIL_DIR": str(tmp_path)}
    assert isinstance(mail_with(both), SmtpMail)
    assert isinstance(mail_with({"PARLOR_MAIL_DIR": str(tmp_path)}, Mode.SERVICES), FolderMail)
    assert isinstance(mail_with(), FolderMail)
    assert isinstance(mail_with(mode=Mode.SERVICES), NoMail)


async def test_nowhere_is_no_failure() -> None:
    await NoMail().send(MESSAGE)


@pytest.mark.parametrize("url", ["mail.example.org", "http://mail.example.org", "smtp://"])
def test_a_url_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(BadSettings, match="PARLOR_SMTP_URL"):
        mail_with({"PARLOR_SMTP_URL": url})


def test_the_sender_is_at_the_address_that_clients_use() -> None:
    senders = [
        settings_for_tests(**given).mail_sender
        for given in (
            {},
            {"PARLOR_PUBLIC_URL": "https://parlor.example.org:8443/"},
            {"PARLOR_MAIL_FROM": "The house <house@example.org>"},
        )
    ]
    assert senders == [
        "Parlor <no-reply@localhost>",
        "Parlor <no-reply@parlor.example.org>",
        "The house <house@example.org>",
    ]
