"""Named reads from `sql/queries/<word>.sql`.

Each file holds statements, each under a line `-- name: <name>`.
"""

import re
from functools import cache

from lsloop import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def named(word: str) -> dict[str, str]:
    """The statements of `sql/queries/<word>.sql` by name.

    They have `:parameter` placeholders.
    """
    parts = _NAME.split(resources.path("sql", "queries", f"{word}.sql").read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], (text.strip().rstrip(";") for text in parts[2::2]), strict=True))
