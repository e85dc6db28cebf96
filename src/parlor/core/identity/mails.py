"""What our mails say. Nothing that a stranger typed stands in them, so that nobody can have us carry their words."""

from dataclasses import dataclass

IGNORE = "If you did not ask for this, you can forget this mail: nothing has changed."


@dataclass(frozen=True, slots=True)
class Message:
    """A mail to one person, in plain text."""

    to: str
    subject: str
    text: str


def about_password_reset(to: str, token: str, public_url: str | None) -> Message:
    """Bring the token that a new password can be chosen with."""
    asked = "Somebody, hopefully you, has asked for a new password for your account."
    return Message(
        to, "Choose a new password", _text(asked, *_ways("password-reset", token, public_url), IGNORE)
    )


def about_verification(to: str, token: str, public_url: str | None) -> Message:
    """Bring the token that proves that the address is its user's."""
    asked = "Please confirm that this address is yours."
    return Message(
        to,
        "Confirm your e-mail address",
        _text(asked, *_ways("email-verification", token, public_url), IGNORE),
    )


def about_existing_account(to: str, public_url: str | None) -> Message:
    """Tell an owner that somebody tried to register with their address."""
    tried = "Somebody, perhaps you, has tried to register with this address. You have an account already."
    way = "You can log in as before, or ask for a new password if you have forgotten yours."
    place = [public_url] if public_url else []
    return Message(to, "You have an account already", _text(tried, way, *place, IGNORE))


def _ways(page: str, token: str, public_url: str | None) -> list[str]:
    """Say how to use a token. In a link it stands behind the #, which no server and no other site gets to see."""
    link = [f"Open this link:\n\n{public_url}/#{page}?token={token}"] if public_url else []
    return [*link, f"The code by itself:\n\n{token}", "It counts once, within an hour."]


def _text(*paragraphs: str) -> str:
    return "\n\n".join(["Hello,", *paragraphs]) + "\n"
