"""The entry point of `python -m lsloop`."""

import sys

from lsloop.commands import main

if __name__ == "__main__":
    sys.exit(main())
