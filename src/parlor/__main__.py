"""The command `parlor`, which is also `python -m parlor`."""

import gc
import sys


def main() -> int:
    """Import the command line, and run it."""
    # What is imported stays. The collector would walk over it again and again, for a quarter of the time to start.
    gc.disable()
    from parlor.entrypoints import cli  # noqa: PLC0415 - after the line above, which is what this module is for

    gc.freeze()
    gc.enable()
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
