"""`parlor`'s command line, whose worker also knows the kind that does nothing."""

import sys
from unittest.mock import patch

from benchmarks.noop import make_container
from parlor.entrypoints import cli
from parlor.entrypoints.consume_worker import main as worker

if __name__ == "__main__":
    with patch.object(worker, "make_container", make_container):
        sys.exit(cli.main())
