"""Dramatiq: its durable queue, confirms, acknowledged after the run, results in Redis."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks.producing import arguments, produce_in_threads

results = RedisBackend(url=os.environ["RESULTS_URL"])
broker = RabbitmqBroker(url=os.environ["RABBITMQ_URL"], confirm_delivery=True)
broker.add_middleware(Results(backend=results, store_results=True))
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="peer.dramatiq")
def noop(number: int) -> dict[str, int]:
    return {"echo": number}


def send(number: int) -> str:
    return results.build_message_key(noop.send(number))


if __name__ == "__main__":
    produce_in_threads(arguments("with_dramatiq"), send)
