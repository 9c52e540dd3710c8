"""Small files that must be whole or absent, and that nobody else may read."""

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Write `text` so that a crash leaves the old file or the new one. Only the owner may read it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mkstemp makes it mode 600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def keep(path: Path, new: str) -> str:
    """What `path` says; `new`, written down, when it says nothing yet."""
    if path.is_file() and (found := path.read_text(encoding="utf-8").strip()):
        return found
    write(path, new)
    return new
