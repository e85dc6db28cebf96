"""How often somebody may try: every limit by its name, and how a bucket counts.

A plain bucket holds so many tries and fills again evenly. A patient one never runs dry for long: its tries are free,
then each makes the next one wait, 1 s, 2 s, 4 s ... 60 s, and every minute takes one off the count.
So a stranger slows an account's owner down, and never locks them out (OWASP Authentication Cheat Sheet on account
lockout). A try that is refused is not counted.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Protocol

LONGEST_WAIT_S = 60.0
FORGOTTEN_S = 60.0
ROUNDING = 1e-6  # of a try


@dataclass(frozen=True, slots=True)
class Rule:
    """So many tries at once, and so many again within `window_s`; patient ones wait instead.

    With `failures_only`, a try that succeeds is given back.
    """

    name: str
    tries: int
    window_s: float = 60.0
    patient: bool = False
    failures_only: bool = False

    def scaled(self, scale: float) -> "Rule":
        """Answer it with so many times the tries, at least one."""
        return replace(self, tries=max(1, round(self.tries * scale)))


HOUR_S = 3600.0

LOGIN_BY_ADDRESS = Rule("login-address", 30, failures_only=True)
LOGIN_BY_ACCOUNT = Rule("login-account", 10, patient=True, failures_only=True)
REFUSED_LOGIN_BY_ADDRESS = Rule("refused-login-address", 30)
REGISTER_BY_ADDRESS = Rule("register-address", 10)
RESET_BY_ADDRESS = Rule("reset-address", 5, HOUR_S)
RESET_BY_ACCOUNT = Rule("reset-account", 5, HOUR_S)
REFRESH_BY_SESSION = Rule("refresh-session", 60)
API_KEY_BY_ADDRESS = Rule("api-key-address", 30, failures_only=True)

RULES = (
    LOGIN_BY_ADDRESS,
    LOGIN_BY_ACCOUNT,
    REFUSED_LOGIN_BY_ADDRESS,
    REGISTER_BY_ADDRESS,
    RESET_BY_ADDRESS,
    RESET_BY_ACCOUNT,
    REFRESH_BY_SESSION,
    API_KEY_BY_ADDRESS,
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted under one key: tries, the moment up to which time has taken some off, and how long to wait."""

    tries: float = 0.0
    at: float = 0.0
    until: float = 0.0

    def take(self, rule: Rule, now: float) -> tuple["Bucket", float]:
        """Count a try at `now` (seconds); answers the bucket after it, and how long to wait where it is refused."""
        return self._wait(rule, now) if rule.patient else self._drain(rule, now)

    def give_back(self, rule: Rule) -> "Bucket":
        """Take back the last try, and the wait that it brought."""
        until = 0.0 if rule.patient else self.until
        return Bucket(max(0.0, self.tries - 1), self.at, until)

    def _drain(self, rule: Rule, now: float) -> tuple["Bucket", float]:
        each_s = rule.window_s / rule.tries
        left = max(0.0, self.tries - max(0.0, now - self.at) / each_s)
        excess = left + 1 - rule.tries
        if excess > ROUNDING:
            return self, excess * each_s
        return Bucket(left + 1, now), 0.0

    def _wait(self, rule: Rule, now: float) -> tuple["Bucket", float]:
        if now < self.until:
            return self, self.until - now
        minutes = math.floor(max(0.0, now - self.at) / FORGOTTEN_S)
        left = max(0.0, self.tries - minutes)
        at = self.at + minutes * FORGOTTEN_S if left else now
        beyond = left + 1 - rule.tries
        until = now + min(LONGEST_WAIT_S, 2.0**beyond) if beyond >= 0 else 0.0
        return Bucket(left + 1, at, until), 0.0


class Throttle(Protocol):
    """Buckets by rule and key, the same for every process as long as they can ask one another."""

    async def take(self, rule: Rule, key: str) -> None:
        """Count one try. Raises TooMany, with the whole seconds to wait, and counts nothing then.

        At most 0.2 s; never raises anything else.
        """
        ...

    async def give_back(self, rule: Rule, key: str) -> None:
        """Take one back, after it turned out to be none that counts."""
        ...


def bucket_key(rule: Rule, key: str) -> str:
    """Name a bucket: of one length, and without the address or the session that it counts."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{rule.name}:{digest[:32]}"


def whole_seconds(wait_s: float) -> int:
    """Round up (but for what clocks do not agree on), to what `Retry-After` can say."""
    return max(1, math.ceil(round(wait_s, 3)))
