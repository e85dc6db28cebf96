"""Passwords under bcrypt, hashed in threads of their own."""

import asyncio
import base64
import hashlib
import math
import os
import re
import sys
import threading
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from parlor.core.shared.errors import Busy
from parlor.core.shared.meters import ONE, Meters

# What is stored: the scheme, then bcrypt's own text. v1 is bcrypt over base64 of SHA-384 over UTF-8 of NFC:
# 64 letters, so that neither bcrypt's 72 bytes nor a NUL cuts a password short.
SCHEME = "v1"
COSTS = range(4, 17)
QUEUE_S = 2.0
# A burst of so many may wait longer, where it is over within this time: those who come all at once are let in, late.
BURST, BURST_S = 64, 30.0
# A guess until the first hash was measured: cost 12 takes about this long, and each step doubles it.
GUESS_S, GUESS_COST = 0.25, 12
# Who only reads waits for a core as long as a hash holds it, unless the hash gives way. Logins come to no harm: the
# cores are theirs whenever nobody else wants them.
NICENESS = 10
NEWS = 0.2  # the weight of the newest measurement

_STORED = re.compile(r"v1\$(?P<bcrypt>\$2b\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53})")

AnswerT = TypeVar("AnswerT")


class BcryptHasher:
    """Port PasswordHasher. As many threads as cores; about 2 s of work, or 64 hashes, may wait; beyond that is Busy.

    `cost` is 4 to 16. A caller that is cancelled while it waits gives its place free.
    """

    def __init__(self, *, cost: int = 12, threads: int | None = None, meters: Meters | None = None) -> None:
        if cost not in COSTS:
            raise ValueError(f"a bcrypt cost is {COSTS[0]} to {COSTS[-1]}, not {cost}")
        self._cost = cost
        self._threads = threads or _cores()
        self._pool = ThreadPoolExecutor(self._threads, "passwords", initializer=_step_back)
        self._hash_s = GUESS_S * 2.0 ** (cost - GUESS_COST)
        self._measured = False
        self._depth = 0
        self._counting = threading.Lock()
        self._meter = HashMeter(meters or Meters(), self)
        # Nobody's hash: bcrypt works as long on it as on any of this cost, and no password gives it.
        self._nobodys = bcrypt.gensalt(cost) + b"." * 31

    @property
    def depth(self) -> int:
        """How many hashes wait or are being made."""
        return self._depth

    @property
    def most(self) -> int:
        """How many may."""
        a_second = self._threads / self._hash_s
        return max(self._threads, int(QUEUE_S * a_second), min(BURST, int(BURST_S * a_second)))

    async def hash(self, password: str) -> str:
        """Hash at the current cost. Raises Busy."""
        ready = _prehash(password)
        hashed = await self._run(lambda: bcrypt.hashpw(ready, bcrypt.gensalt(self._cost)))
        return f"{SCHEME}${hashed.decode()}"

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Compare; nobody's hash, and one that is none of ours, take as long and are False. Raises Busy."""
        ready = _prehash(password)
        known = _read(password_hash)
        stored = self._nobodys if known is None else known["bcrypt"].encode()
        same = await self._run(lambda: bcrypt.checkpw(ready, stored))
        return same and known is not None

    def outdated(self, password_hash: str) -> bool:
        """Whether it is of a lower cost, or not of this scheme."""
        known = _read(password_hash)
        return known is None or int(known["cost"]) < self._cost

    def close(self) -> None:
        """Cancel what waits; what is being hashed ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], AnswerT]) -> AnswerT:
        self._take_place()
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _take_place(self) -> None:
        with self._counting:
            if self._depth >= self.most:
                self._meter.refused.n += 1
                raise Busy(retry_after=max(1, math.ceil(self._depth * self._hash_s / self._threads)))
            self._depth += 1

    def _leave(self, _: Future[AnswerT]) -> None:
        with self._counting:  # in the thread that hashed, or in the caller's when it was cancelled
            self._depth -= 1

    def _timed(self, work: Callable[[], AnswerT]) -> AnswerT:
        begun = time.perf_counter()
        answer = work()
        self._learn(time.perf_counter() - begun)
        return answer

    def _learn(self, took_s: float) -> None:
        with self._counting:
            known = self._hash_s if self._measured else took_s
            self._hash_s = known + NEWS * (took_s - known)
            self._measured = True
            self._meter.making.see(took_s)


class HashMeter:
    """What is counted about the hashes."""

    def __init__(self, meters: Meters, hasher: BcryptHasher) -> None:
        self.making = meters.timing(
            "parlor_password_hash_seconds", "How long a hash takes once it is begun."
        ).of()
        self.refused = meters.tally(
            "parlor_password_hashes_refused_total", "Hashes that there was no place for: a 503."
        ).of()
        meters.level("parlor_password_hashes", "How many hashes wait or are being made.").reads(
            lambda: {ONE: hasher.depth}
        )
        meters.level("parlor_password_hashes_most", "How many hashes may wait or be made.").reads(
            lambda: {ONE: hasher.most}
        )


def _prehash(password: str) -> bytes:
    composed = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return base64.b64encode(hashlib.sha384(composed).digest())


def _read(stored: str | None) -> re.Match[str] | None:
    found = _STORED.fullmatch(stored or "")
    # A cost beyond ours would hold a thread for minutes, or for days.
    return found if found is not None and int(found["cost"]) in COSTS else None


def _step_back() -> None:
    """Let every other thread go first: on Linux each has a niceness of its own; elsewhere it is all one process's."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
