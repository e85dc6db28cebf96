"""Why a message cannot be taken: the fixed words of the RabbitMQ contract."""

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """What stands in `x-parlor-reason`; `meaning` is what the published pages say about it."""

    meaning: str

    NOT_JSON = (
        "not_json",
        (
            "another content type; not UTF-8; no JSON, or with a key twice, NaN or a number beyond a double "
            "(`1e999`), or nested deeper than 64"
        ),
    )
    INVALID_MESSAGE = (
        "invalid_message",
        "a field is missing, unknown or of the wrong type; an id is no UUID; a CloudEvent of another type",
    )
    UNKNOWN_KIND = "unknown_kind", "no handler runs this kind"
    INVALID_PAYLOAD = "invalid_payload", "the kind does not take this payload"
    MISSING_ID = "missing_id", "no id, so it cannot be told from its own repetition"
    ID_MISMATCH = "id_mismatch", "`message_id`, `cloudEvents:id` and the body's `id` do not agree"
    TOO_LARGE = "too_large", "the body is over 1 MiB"
    FORBIDDEN_KIND = (
        "forbidden_kind",
        "producers, or the user whom a trusted one names, may not run this kind",
    )
    DELIVERY_LIMIT = (
        "delivery_limit",
        "the broker gave it up after 20 returns, or at its `expiration`, and what it says could not be read",
    )

    def __new__(cls, word: str, meaning: str) -> Self:
        """Make a word with its meaning."""
        reason = str.__new__(cls, word)
        reason._value_ = word
        reason.meaning = meaning
        return reason
