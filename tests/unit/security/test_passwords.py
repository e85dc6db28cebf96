"""Passwords: the hash's form, the queue's bound, and the list of common ones."""

import asyncio
import threading
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.resources import files
from typing import Any

import bcrypt
import pytest

from parlor.adapters.security.common_passwords import ShippedCommonPasswords
from parlor.adapters.security.passwords import BcryptHasher
from parlor.core.shared.errors import Busy
from parlor.core.shared.meters import ONE, Meters
from tests.waiting import eventually

CHEAPEST = 4
real_hashpw = bcrypt.hashpw


@pytest.fixture
def hasher() -> Iterator[BcryptHasher]:
    hasher = BcryptHasher(cost=CHEAPEST, threads=2)
    yield hasher
    hasher.close()


class Gate:
    """Stands in for bcrypt: every hash waits until the gate opens."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.began = 0
        self._counting = threading.Lock()

    def hashpw(self, password: bytes, salt: bytes) -> bytes:
        with self._counting:
            self.began += 1
        assert self.opened.wait(30)
        return real_hashpw(password, salt)


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    gate = Gate()
    monkeypatch.setattr(bcrypt, "hashpw", gate.hashpw)
    yield gate
    gate.opened.set()


async def full(hasher: BcryptHasher) -> list[asyncio.Task[str]]:
    """Fill the queue to its last place."""
    tasks = [asyncio.create_task(hasher.hash(f"password {number}")) for number in range(hasher.most)]
    await eventually(lambda: hasher.depth == hasher.most)
    return tasks


async def test_a_password_is_known_again_and_another_is_not(hasher: BcryptHasher) -> None:
    stored = await hasher.hash("right horse")
    assert await hasher.verify("right horse", stored)
    assert not await hasher.verify("wrong horse", stored)


async def test_what_is_stored_names_its_scheme_and_cost(hasher: BcryptHasher) -> None:
    stored = await hasher.hash("right horse")
    assert stored.startswith("v1$$2b$04$")
    assert stored != await hasher.hash("right horse")


@pytest.mark.parametrize(
    ("password", "twin"),
    [
        ("x" * 72 + "a", "x" * 72 + "b"),
        ("x" * 1023 + "a", "x" * 1023 + "b"),
        ("\U0001f600" * 24, "\U0001f600" * 24 + "!"),
        ("nul\x00after", "nul\x00other"),
        ("", "\x00"),
        ("Password", "password"),
        (" password", "password"),
        ("\ud800password", "\ud801password"),
    ],
)
async def test_every_letter_counts(hasher: BcryptHasher, password: str, twin: str) -> None:
    """Beyond bcrypt's 72 bytes, behind a NUL, and where the text is not even one."""
    stored = await hasher.hash(password)
    assert await hasher.verify(password, stored)
    assert not await hasher.verify(twin, stored)


async def test_a_letter_in_two_pieces_is_the_same_letter(hasher: BcryptHasher) -> None:
    """Keyboards differ in how they compose; NFC makes them one."""
    composed = unicodedata.normalize("NFC", "pässwörter")
    stored = await hasher.hash(unicodedata.normalize("NFD", composed))
    assert await hasher.verify(composed, stored)


FOREIGN = [
    "",
    "password",
    "v1$",
    "v1$$2b$04$",
    "v1$$2b$04$" + "a" * 52,
    "v1$$2b$04$" + "a" * 54,
    "v1$$2b$04$" + "a" * 52 + "!",
    "v1$$2b$04$" + "a" * 53 + "\n",
    "v1$$2b$31$" + "a" * 53,
    "v1$$2b$00$" + "a" * 53,
    "v1$$2y$04$" + "a" * 53,
    "v2$$2b$04$" + "a" * 53,
    "$2b$04$" + "a" * 53,
    "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b5dWRWJTmaaKZlUfgAAAAAAAAA",
    "v1$$2b$٠٤$" + "a" * 53,
    "\x00",
    "\ud800",
]


@pytest.mark.parametrize("stored", FOREIGN)
async def test_a_foreign_hash_is_nobodys(hasher: BcryptHasher, stored: str) -> None:
    """It raises nothing, and a cost beyond ours holds no thread for days."""
    assert not await hasher.verify("password", stored)
    assert hasher.outdated(stored)


async def test_a_plain_bcrypt_hash_of_the_password_is_not_taken(hasher: BcryptHasher) -> None:
    plain = bcrypt.hashpw(b"password", bcrypt.gensalt(CHEAPEST)).decode()
    assert not await hasher.verify("password", plain)
    assert not await hasher.verify("password", f"v1${plain}")


@pytest.mark.parametrize("stored", [None, *FOREIGN])
async def test_nobodys_hash_costs_what_a_real_one_costs(
    hasher: BcryptHasher, monkeypatch: pytest.MonkeyPatch, stored: str | None
) -> None:
    """The time is the same because the work is: bcrypt runs once, at the current cost."""
    checked: list[bytes] = []

    def check(password: bytes, hashed: bytes) -> bool:
        checked.append(hashed)
        assert len(password) == 64
        return real_hashpw(password, hashed) == hashed

    monkeypatch.setattr(bcrypt, "checkpw", check)
    assert not await hasher.verify("password", stored)
    assert [hashed[:7] for hashed in checked] == [b"$2b$04$"]


async def test_a_lower_cost_is_outdated_and_a_higher_is_not(hasher: BcryptHasher) -> None:
    higher = BcryptHasher(cost=CHEAPEST + 1)
    low, high = await hasher.hash("password"), await higher.hash("password")
    assert higher.outdated(low)
    assert not hasher.outdated(low)
    assert not hasher.outdated(high)
    assert await higher.verify("password", low)
    higher.close()


@pytest.mark.parametrize("cost", [3, 17, 31, 0, -1])
def test_an_absurd_cost_is_refused_at_once(cost: int) -> None:
    with pytest.raises(ValueError, match="cost"):
        BcryptHasher(cost=cost)


async def test_beyond_its_bound_the_queue_is_busy(hasher: BcryptHasher, gate: Gate) -> None:
    hasher._hash_s = 0.5
    waiting = await full(hasher)
    assert len(waiting) == 64
    with pytest.raises(Busy) as refused:
        await hasher.hash("one too many")
    assert refused.value.retry_after == 16  # two threads
    with pytest.raises(Busy):
        await hasher.verify("one too many", None)
    gate.opened.set()
    await asyncio.gather(*waiting)
    assert hasher.depth == 0
    await hasher.hash("room again")


async def test_hashes_are_counted_and_so_are_those_that_there_is_no_place_for(gate: Gate) -> None:
    meters = Meters()
    hasher = BcryptHasher(cost=CHEAPEST, threads=2, meters=meters)
    hasher._hash_s = 0.5
    waiting = await full(hasher)
    with pytest.raises(Busy):
        await hasher.hash("one too many")
    assert meters.level("parlor_password_hashes", "").readings() == {ONE: 64}
    assert meters.level("parlor_password_hashes_most", "").readings() == {ONE: 64}
    gate.opened.set()
    await asyncio.gather(*waiting)
    assert meters.tally("parlor_password_hashes_refused_total", "").readings() == {ONE: 1}
    assert sum(meters.timing("parlor_password_hash_seconds", "").of().counts) == 64
    hasher.close()


async def test_only_as_many_as_there_are_threads_are_hashed_at_once(hasher: BcryptHasher, gate: Gate) -> None:
    hasher._hash_s = 0.5
    waiting = await full(hasher)
    await eventually(lambda: gate.began == 2)
    assert gate.began == 2
    gate.opened.set()
    await asyncio.gather(*waiting)


async def test_who_goes_away_gives_the_place_free(hasher: BcryptHasher, gate: Gate) -> None:
    hasher._hash_s = 0.5
    waiting = await full(hasher)
    await eventually(lambda: gate.began == 2)
    for task in waiting[2:]:
        task.cancel()
    await asyncio.gather(*waiting[2:], return_exceptions=True)
    await eventually(lambda: hasher.depth == 2)
    later = asyncio.create_task(hasher.hash("later"))
    gate.opened.set()
    await asyncio.gather(*waiting[:2], later)
    assert gate.began == 3  # what was cancelled was never hashed


async def test_who_goes_away_while_hashed_keeps_the_thread_counted(hasher: BcryptHasher, gate: Gate) -> None:
    """The thread works on: freeing the place would let one caller take every thread."""
    hashed = asyncio.create_task(hasher.hash("password"))
    await eventually(lambda: gate.began == 1)
    hashed.cancel()
    await asyncio.gather(hashed, return_exceptions=True)
    assert hasher.depth == 1
    gate.opened.set()
    await eventually(lambda: hasher.depth == 0)


@pytest.mark.parametrize(
    ("hash_s", "most"), [(0.001, 4000), (0.05, 80), (0.25, 64), (0.9, 64), (2.0, 30), (20.0, 3), (60.0, 2)]
)
def test_the_bound_is_two_seconds_of_work_or_a_burst_of_64_that_is_over_in_30(
    hasher: BcryptHasher, hash_s: float, most: int
) -> None:
    """And never less than the threads can do at once."""
    hasher._hash_s = hash_s
    assert hasher.most == most


def test_the_first_measurement_replaces_the_guess_and_later_ones_weigh_a_fifth(hasher: BcryptHasher) -> None:
    hasher._learn(1.0)
    assert hasher._hash_s == 1.0
    hasher._learn(2.0)
    assert hasher._hash_s == pytest.approx(1.2)


async def test_what_is_hashed_is_measured(hasher: BcryptHasher) -> None:
    await hasher.hash("password")
    assert hasher._measured


async def test_a_failure_is_the_callers_and_frees_its_place(
    hasher: BcryptHasher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> bytes:
        raise ZeroDivisionError

    with monkeypatch.context() as broken:
        broken.setattr(bcrypt, "hashpw", fail)
        with pytest.raises(ZeroDivisionError):
            await hasher.hash("password")
    await eventually(lambda: hasher.depth == 0)
    assert await hasher.hash("password")


@pytest.fixture(scope="module")
def common() -> ShippedCommonPasswords:
    return ShippedCommonPasswords()


@pytest.mark.parametrize(
    "password",
    [
        "password",
        "Password1",
        "QWERTYUIOP",
        "12345678",
        "iloveyou",
        "Sommer2024",
        "passwort123",
        "1qaz2wsx",
        "aaaaaaaa",
    ],
)
def test_what_everybody_tries_is_common(common: ShippedCommonPasswords, password: str) -> None:
    assert password in common


@pytest.mark.parametrize(
    "disguise", [str.upper, str.title, lambda word: "".join(chr(ord(c) + 0xFEE0) for c in word)]
)
def test_case_and_full_width_are_no_disguise(
    common: ShippedCommonPasswords, disguise: Callable[[str], str]
) -> None:
    assert disguise("password") != "password"
    assert disguise("password") in common


@pytest.mark.parametrize(
    "password", ["", "xkcd-936-entropy", "passwort mit Leerzeichen", "# Passwords", "\ud800"]
)
def test_others_are_not(common: ShippedCommonPasswords, password: str) -> None:
    assert password not in common


def test_the_list_is_long_folded_and_holds_nothing_that_is_refused_anyway(
    common: ShippedCommonPasswords,
) -> None:
    text = files("parlor.adapters.security").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    words = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(words) == len(set(words)) == len(common) >= 1000
    assert words == sorted(words)
    assert all(8 <= len(word) <= 64 and word == word.casefold().strip() for word in words)
