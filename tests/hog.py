"""Take one core, for as long as whoever started it lives: tests must not depend on an idle machine."""

import os

if __name__ == "__main__":
    parent = os.getppid()
    while os.getppid() == parent:
        sum(range(1_000_000))
