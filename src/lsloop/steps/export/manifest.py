"""Write down an export: its manifest in the folder, what lies there in the ledger."""

import hashlib
from pathlib import Path

from lsloop.dataset import indexes, trees
from lsloop.errors import UsageError
from lsloop.ledger import Ledger, exports
from lsloop.ledger.exports import There
from lsloop.steps.export.wanted import Exported, Wanted


def write_down(ledger: Ledger, wanted: Wanted, done: Exported, content: bytes | None) -> None:
    """Write the manifest, in the folder where wanted and in the ledger always.

    What a killed export left out, the next does. `content` is the manifest that was written now, if any was.
    """
    last = exports.last_manifest(ledger, wanted.destination)
    if content is None:
        if wanted.with_manifest and last == _sha256(wanted.target / indexes.MANIFEST):
            done.manifest_sha256 = last
            return
        content = indexes.manifest(wanted.target)
        if wanted.with_manifest:
            write_manifest(wanted.target, content)
    done.manifest_sha256 = hashlib.sha256(content).hexdigest()
    if last != done.manifest_sha256:
        there = (There(*row) for name in wanted.kinds for row in indexes.contents(wanted.target / name))
        exports.record(ledger, wanted.destination, wanted.layout.NAME, content, list(wanted.kinds), there)


def _sha256(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def write_manifest(target: Path, content: bytes | None = None) -> Path:
    """Write `manifest.json` of an exported folder, from its indexes.

    It is untouched when it says the same already. Raises UsageError where nothing was exported.
    """
    if not any(target.glob(f"*/{indexes.FILE}")):
        raise UsageError(f"Nothing was exported to {target} yet.", "Run `lsloop export` first.")
    content = indexes.manifest(target) if content is None else content
    path = target / indexes.MANIFEST
    if not path.is_file() or path.read_bytes() != content:
        trees.write_whole(path, content)
    return path
