"""Run an lsloop command in this process, and tell last, on stderr, the most bytes of memory it held."""

import resource
import sys
from pathlib import Path

from lsloop.commands import main


def peak() -> int:
    """Bytes. Linux keeps it per program; what getrusage tells there includes the process that started this
    one."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    try:
        main()
    finally:
        print(peak(), file=sys.stderr)
