"""Buckets in Redis, which every process counts in: one script, one round trip."""

from collections.abc import Callable

from parlor.adapters.redis.client import RedisLink
from parlor.core.identity.throttling import (
    FORGOTTEN_S,
    LONGEST_WAIT_S,
    ROUNDING,
    Rule,
    bucket_key,
    whole_seconds,
)
from parlor.core.shared.errors import TooMany

# As `Bucket` in the core counts, in milliseconds of Redis' own clock; the two are held together by a test.
SCRIPT = f"""
local verb, tries, each = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local longest, forgotten, now = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local stored = redis.call('HMGET', KEYS[1], 'tries', 'at', 'until')
local counted, at, wait_until = tonumber(stored[1] or 0), tonumber(stored[2] or 0), tonumber(stored[3] or 0)
local patient = each == 0
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end

if verb == 'give back' then
  if counted <= 1 then
    redis.call('DEL', KEYS[1])
  else
    redis.call('HSET', KEYS[1], 'tries', string.format('%.9f', counted - 1))
    if patient then redis.call('HSET', KEYS[1], 'until', '0') end
  end
  return 0
end

local passed = math.max(0, now - at)
if patient then
  if now < wait_until then return wait_until - now end
  local minutes = math.floor(passed / forgotten)
  counted = math.max(0, counted - minutes)
  if counted == 0 then at = now else at = at + minutes * forgotten end
  counted = counted + 1
  wait_until = 0
  if counted >= tries then wait_until = now + math.min(longest, 1000 * 2 ^ (counted - tries)) end
else
  counted = math.max(0, counted - passed / each)
  if counted + 1 - tries > {ROUNDING} then return math.ceil((counted + 1 - tries) * each) end
  counted = counted + 1
  at = now
end
local empty_at = math.max(wait_until, at + counted * (patient and forgotten or each))
redis.call('HSET', KEYS[1], 'tries', string.format('%.9f', counted),
           'at', string.format('%.0f', at), 'until', string.format('%.0f', wait_until))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil(empty_at - now) + 1))
return 0
"""


class RedisThrottle:
    """Port Throttle, as long as Redis answers; `scale` multiplies each rule. Its keys end by themselves.

    Raises RedisAway otherwise. `now_ms` stands in for Redis' clock, which all processes share.
    """

    def __init__(
        self,
        link: RedisLink,
        *,
        namespace: str,
        scale: float = 1.0,
        now_ms: Callable[[], int] | None = None,
    ) -> None:
        self._link = link
        self._prefix = f"{namespace}:throttle:"
        self._scale = scale
        self._now_ms = now_ms
        self._script = link.redis.register_script(SCRIPT)

    async def take(self, rule: Rule, key: str) -> None:
        """Count one try, or raise TooMany."""
        wait_ms = await self._run("take", rule, key)
        if wait_ms:
            raise TooMany(retry_after=whole_seconds(wait_ms / 1000))

    async def give_back(self, rule: Rule, key: str) -> None:
        """Take one back."""
        await self._run("give back", rule, key)

    async def _run(self, verb: str, rule: Rule, key: str) -> int:
        scaled = rule.scaled(self._scale)
        each_ms = 0.0 if rule.patient else 1000 * scaled.window_s / scaled.tries
        now = self._now_ms() if self._now_ms else ""
        words = (verb, scaled.tries, each_ms, 1000 * LONGEST_WAIT_S, 1000 * FORGOTTEN_S, now)
        names = [self._prefix + bucket_key(rule, key)]
        answer: int = await self._link.ask(lambda _: self._script(keys=names, args=words))
        return answer
