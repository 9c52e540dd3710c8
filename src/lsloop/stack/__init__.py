"""Embedded stack of one project folder: PostgreSQL, Label Studio and lsloop's server.

`run` starts it in this process and `watch` watches it; `detach` starts it in a process of its own; `running`
tells about it and `down` ends it from anywhere. What DATABASE_URL or LABEL_STUDIO_URL names is somebody
else's: it is neither started nor stopped.
"""

import sys

from lsloop.errors import UsageError

if sys.platform == "win32":
    raise UsageError(
        "lsloop cannot start PostgreSQL and Label Studio on Windows.",
        "Run it under WSL, or set DATABASE_URL and LABEL_STUDIO_URL.",
    )

from lsloop.stack.background import detach, down, mend, running
from lsloop.stack.children import Failed
from lsloop.stack.state import Held
from lsloop.stack.supervisor import run, watch

__all__ = ["Failed", "Held", "detach", "down", "mend", "run", "running", "watch"]
