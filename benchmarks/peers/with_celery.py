"""Celery: a quorum queue, confirms, acknowledged late, results in Redis."""

import os

from celery import Celery

from benchmarks.producing import arguments, produce_in_threads

app = Celery("peer", broker=os.environ["RABBITMQ_URL"], backend=os.environ["RESULTS_URL"])
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_default_queue="peer.celery",
    task_default_queue_type="quorum",
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=16,
)


@app.task(name="noop")
def noop(number: int) -> dict[str, int]:
    return {"echo": number}


def send(number: int) -> str:
    return app.backend.get_key_for_task(noop.delay(number).id).decode()


if __name__ == "__main__":
    produce_in_threads(arguments("with_celery"), send)
