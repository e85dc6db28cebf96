"""What all producers do: send so many, 16 at once or so many a second, and tell on stdout when, in JSON."""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

AT_ONCE = 16


def arguments(prog: str, *positional: str) -> argparse.Namespace:
    """Read the command line: `COUNT [--rate TASKS_A_SECOND] [--warm COUNT]`, after what this producer needs."""
    parser = argparse.ArgumentParser(prog=prog)
    for name in positional:
        parser.add_argument(name)
    parser.add_argument("count", type=int)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--warm", type=int, default=0)
    return parser.parse_args()


async def produce(given: argparse.Namespace, send: Callable[[int], Awaitable[str]]) -> None:
    """Send from one event loop; `send` answers the key under which the result will be found."""
    await _many(given.warm, send)
    began, used = time.time(), time.process_time()
    sent = await _paced(given.count, given.rate, send) if given.rate else await _many(given.count, send)
    _tell(began, used, given, sent)


def produce_in_threads(given: argparse.Namespace, send: Callable[[int], str]) -> None:
    """The same for a library that blocks."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(send, range(given.warm)))
        began, used = time.time(), time.process_time()
        sent: dict[str, float] = {}
        if given.rate:
            for number in range(given.count):
                time.sleep(max(0.0, began + number / given.rate - time.time()))
                since = time.time()
                sent[send(number)] = since
        else:
            list(threads.map(send, range(given.count)))
        _tell(began, used, given, sent)


async def _many(count: int, send: Callable[[int], Awaitable[str]]) -> dict[str, float]:
    async def some(numbers: range) -> None:
        for number in numbers:
            await send(number)

    await asyncio.gather(*(some(range(start, count, AT_ONCE)) for start in range(AT_ONCE)))
    return {}


async def _paced(count: int, rate: float, send: Callable[[int], Awaitable[str]]) -> dict[str, float]:
    sent: dict[str, float] = {}

    async def one(number: int) -> None:
        since = time.time()
        sent[await send(number)] = since

    began = time.time()
    sending = []
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.time()))
        sending.append(asyncio.create_task(one(number)))
    await asyncio.gather(*sending)
    return sent


def _tell(began: float, used: float, given: argparse.Namespace, sent: dict[str, float]) -> None:
    cpu_us = 1e6 * (time.process_time() - used) / given.count
    print(json.dumps({"began": began, "ended": time.time(), "cpu_us": cpu_us, "sent": sent}), flush=True)
