"""A mail as RFC 5322 has it."""

from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid

from parlor.core.identity.mailing import MailRefused
from parlor.core.identity.mails import Message


def enveloped(message: Message, sender: str) -> EmailMessage:
    """Write the mail; raises MailRefused for an address that no header can hold.

    The library refuses line breaks in headers. Text in ASCII goes as it is, so that links and codes stay whole.
    """
    mail = EmailMessage(policy=SMTP)
    name, _, domain = message.to.rpartition("@")
    try:
        mail["To"] = Address(username=name, domain=domain)
        mail["From"] = sender
        mail["Subject"] = message.subject
    except ValueError as error:
        raise MailRefused("The address cannot stand in a mail.") from error
    mail["Date"] = localtime()
    mail["Message-ID"] = make_msgid(domain=domain_of(sender))
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: so that no absent person's program answers
    mail.set_content(message.text, cte="7bit" if message.text.isascii() else "base64")
    return mail


def domain_of(address: str) -> str:
    """Answer what stands behind the @."""
    return address.rpartition("@")[2].rstrip("> ")
