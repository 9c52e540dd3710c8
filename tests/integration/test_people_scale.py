"""What people wait for answers as fast in a large ledger as in a small one."""

import uuid
from pathlib import Path

import psycopg
from benchmarks import people

from services import Postgres


def test_screens_and_one_acceptance_take_at_most_three_times_as_long_in_a_ledger_a_hundred_times_as_large(
    postgres: Postgres, tmp_path: Path
) -> None:
    projects = [tmp_path / f"scale_{uuid.uuid4().hex}" for _ in range(2)]
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        for project in projects:
            project.mkdir()
            (project / ".env").write_text(f"DATABASE_URL={postgres.url(project.name)}\n")
            connection.execute(f"CREATE DATABASE {project.name}")
        rows = people.compare(*projects)
        for project in projects:
            connection.execute(f"DROP DATABASE {project.name} WITH (FORCE)")
    told = {row.name: f"{row.small * 1000:.1f} → {row.large * 1000:.1f} ms, ×{row.ratio:.1f}" for row in rows}
    print(told)
    assert {row.name for row in rows if row.ratio > people.ALLOWED} == set(), told
