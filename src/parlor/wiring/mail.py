"""Where mail goes: the server that is set, else the folder, else, embedded, a folder beside the database."""

from parlor.adapters.mail.folder import FolderMail
from parlor.adapters.mail.nowhere import NoMail
from parlor.adapters.mail.smtp import SmtpMail, SmtpServer
from parlor.config import BadSettings, Settings
from parlor.core.identity.mailing import Mail
from parlor.wiring.assembly import Assembly
from parlor.wiring.modes import Mode
from parlor.wiring.traces import traced_mail


def wire_mail(parts: Assembly, settings: Settings, mode: Mode) -> None:
    """Choose it."""
    parts.add(Mail, traced_mail(_mail(settings, mode), parts.tracer))


def _mail(settings: Settings, mode: Mode) -> Mail:
    if settings.smtp is not None:
        try:
            return SmtpMail(SmtpServer.parse(settings.smtp), sender=settings.mail_sender)
        except ValueError as error:
            raise BadSettings(f"PARLOR_SMTP_URL: {error}") from None
    if settings.mail_dir is not None:
        return FolderMail(settings.mail_dir, sender=settings.mail_sender)
    if mode is Mode.EMBEDDED:
        return FolderMail(settings.data_dir / "mail", sender=settings.mail_sender)
    return NoMail()
