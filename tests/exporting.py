"""A project folder with media, whose samples are reviewed at the speed of the ledger, to be exported."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from annotating import Office, said
from lsloop import loop
from lsloop.config import Config
from lsloop.ledger import Ledger
from lsloop.steps import sample
from lsloop.steps.export import Exported
from media_files import content

TRANSCRIPT = "transcript_correction"


@dataclass
class Project:
    """`accept` plays people; `export` is what `lsloop export` calls."""

    config: Config
    ledger: Ledger
    office: Office
    _answers: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def target(self) -> Path:
        return self.config.reviewed_dir

    def ingest(self, rows: Sequence[dict[str, Any]], **options: Any) -> sample.Ingested:
        """Upstream's rows; a media file is made for each that names one and has none yet."""
        raw = self.config.raw_dir
        for row in rows:
            media = raw / row.get("media", "")
            if "media" in row and not media.exists():
                media.parent.mkdir(parents=True, exist_ok=True)
                media.write_bytes(content(row["media"]))
        raw.mkdir(parents=True, exist_ok=True)
        path = raw / "metadata.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return sample.ingest(self.ledger, path, raw_dir=raw, **options)

    def accept(self, texts: dict[str, str], by: str = "ann@example.com", **remarks: Any) -> None:
        """Everything is sent; these samples are answered so, and accepted."""
        self.office.push(100_000)
        numbers = {claim.sample.external_id: number for number, claim in self.office.claims.items()}
        for name, text in texts.items():
            answer = self.office.answer(numbers[name], by, said(text, **remarks))
            self._answers[name] = numbers[name], answer
        self.office.pull([numbers[name] for name in texts])

    def change_mind(self, name: str, text: str) -> None:
        number, made = self._answers[name]
        self.office.edit(number, made, value=said(text))
        self.office.pull([number])

    def withdraw(self, name: str) -> None:
        number, made = self._answers[name]
        self.office.delete(number, made)
        self.office.pull([number])

    def export(self, **options: Any) -> Exported:
        return loop.export(self.ledger, self.config, **options)

    def folder(self, name: str, task_type: str = TRANSCRIPT) -> Path:
        """Where a sample lies, by its external id."""
        return self.target / task_type / str(self.office.sample(name))

    def metadata(self, name: str, task_type: str = TRANSCRIPT) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder(name, task_type) / "metadata.json").read_text())
        return found

    def exported(self, task_type: str = TRANSCRIPT) -> set[str]:
        """The external ids of what lies there."""
        folders = [path for path in (self.target / task_type).iterdir() if path.is_dir()]
        return {json.loads((path / "metadata.json").read_text())["external_id"] for path in folders}


def rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Upstream rows with media, numbered from 1."""
    return [
        {"external_id": f"c{i}", "media": f"audio/{i}.wav", "transcript": f"as crawled {i}", **fields}
        for i in range(1, count + 1)
    ]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def identity(folder: Path) -> dict[str, int]:
    """The inode of every file below: the same one was not written again."""
    return {
        str(path.relative_to(folder)): os.lstat(path).st_ino
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def age(database_url: str) -> None:
    """Everything in the ledger is as it is after a good night's vacuum."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
