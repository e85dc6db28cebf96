"""A worker that also knows the kind that does nothing; `--no-relay` leaves the publishing to another process."""

import sys

import uvloop

from benchmarks.noop import Noop
from parlor.config import Settings
from parlor.entrypoints import logs
from parlor.entrypoints.consume_worker.main import work

if __name__ == "__main__":
    settings = Settings()
    logs.configure(settings.log_level)
    uvloop.run(work(settings, relay="--no-relay" not in sys.argv, handlers=[Noop()]))
