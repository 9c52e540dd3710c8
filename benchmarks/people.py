"""What people wait for must not grow with the ledger: screens and one acceptance, at 1,000 samples and at
100,000.

Commands are timed without the start of the interpreter, which would flatter the ratio.
"""

import io
import itertools
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.place import Place, fresh_ledger
from benchmarks.rows import Row, at_most
from benchmarks.timing import alternately
from lsloop import config, task_types
from lsloop.commands import main
from lsloop.config import Conflicts
from lsloop.ledger import Ledger, annotations, connect, migrations, projects
from lsloop.records import Annotation, Project, Task
from lsloop.steps import conflict

TASK_TYPE = "transcript_correction"
SMALL, LARGE = (1_000, 200), (100_000, 20_000)
"""Samples and tasks."""

ALLOWED = 3.0
ROUNDS = 15

LISTS = ("conflicts", "locks")
COMMANDS = (("conflicts", "list"), ("locks",), ("locks", "--stale"), ("annotators",), ("status",))

FILL = """
    INSERT INTO samples (external_id, fields, media_path, media_md5)
    SELECT 'clip-' || n, jsonb_build_object('transcript', 'xin chào meeting ' || n), n || '.wav', md5(n::text)
      FROM generate_series(1, {samples}) n;
    INSERT INTO tasks (sample_id, task_type, project_id, ls_task_id, state, sync_version, reads, writes,
                       base, claimed_by,
                       opened_at, sent_at)
    SELECT s.sample_id, '{task_type}', {project_id}, s.arrival,
           CASE WHEN s.arrival % 20 < 13 THEN 'accepted' WHEN s.arrival % 20 < 19 THEN 'open'
           ELSE 'conflicted' END, 1,
           '{{media}}', '{{transcript}}', snapshot(s, '{{media,transcript}}'), 'fill', now(), now()
      FROM samples s WHERE s.arrival <= {tasks};
    INSERT INTO annotations (server, ls_annotation_id, task_key, ls_task_id, annotator, result, value,
                             result_hash,
                             was_cancelled, ground_truth, lead_time, ls_created_at, ls_updated_at)
    SELECT 'bench', ls_task_id, task_key, ls_task_id, 'annotator-' || ls_task_id % 30, '[]',
           jsonb_build_object('transcript', 'xin chào cuộc họp ' || ls_task_id), ls_task_id::text, false,
           false, 5,
           now(), now()
      FROM tasks WHERE state <> 'open';
    SELECT write_revisions(array_agg(t.task_key), array_agg(a.annotation_id), array_agg(a.value), 'human'),
           end_tasks(array_agg(t.task_key), 'accepted', array_agg(a.annotation_id))
      FROM tasks t JOIN annotations a USING (task_key) WHERE t.state = 'accepted';
    UPDATE samples s SET sync_version = 2, field_versions = '{{"transcript": 2}}',
           fields = jsonb_build_object('transcript', 'tạm biệt meeting ' || s.arrival)
      FROM tasks t, writing_of_ours(true) WHERE t.sample_id = s.sample_id AND t.state = 'conflicted';
    UPDATE tasks SET state = 'open' WHERE state = 'conflicted';
    SELECT open_conflict(t, s, a, moved_fields(t, s, a.value))
      FROM tasks t JOIN samples s USING (sample_id) JOIN annotations a USING (task_key)
      WHERE t.state = 'open';
    INSERT INTO locks (sample_id, task_type, locked_by, task_key, released_at)
    SELECT sample_id, task_type, 'label_studio', task_key,
           CASE WHEN state = 'accepted' THEN now() END FROM tasks
    ON CONFLICT DO NOTHING;
    ANALYZE;
"""


@dataclass(frozen=True)
class Question:
    """Seconds that an answer takes in the small and in the large ledger."""

    name: str
    small: float
    large: float

    @property
    def ratio(self) -> float:
        return self.large / self.small


def speed(place: Place) -> Iterator[Row]:
    """How many times longer each answer takes in the large ledger."""
    with tempfile.TemporaryDirectory() as folder, fresh_ledger(place) as few, fresh_ledger(place) as many:
        for question in compare(_project(Path(folder), "few", few), _project(Path(folder), "many", many)):
            what = f"{question.name}: {LARGE[0]:,} samples against {SMALL[0]:,}"
            yield at_most(what, question.ratio, ALLOWED)


def _project(folder: Path, name: str, database_url: str) -> Path:
    (folder / name).mkdir()
    (folder / name / ".env").write_text(f"DATABASE_URL={database_url}\n", encoding="utf-8")
    return folder / name


def compare(small: Path, large: Path) -> list[Question]:
    """Fill both ledgers, those of two project folders, which must be empty, and ask each the same
    questions."""
    asked = [_questions(small, *SMALL), _questions(large, *LARGE)]
    return [_compared(name, asked[0][name], asked[1][name]) for name in asked[0]]


def _compared(name: str, small: Callable[[], object], large: Callable[[], object]) -> Question:
    """The shortest times of several, taken in turn: what is slower was disturbed."""
    taken = alternately({"small": lambda _: small(), "large": lambda _: large()}, ROUNDS)
    return Question(name, min(taken["small"]), min(taken["large"]))


def _questions(project_dir: Path, samples: int, tasks: int) -> dict[str, Callable[[], object]]:
    """Fill the empty ledger of a project folder; what to ask it."""
    database_url = config.load(project_dir).database_url
    migrations.upgrade(database_url)
    ledger = connect(database_url)
    project = filled(ledger, samples, tasks)
    conflict.by_rule(ledger, project, task_types.load(TASK_TYPE), Conflicts())  # as a pull would
    screens = {" ".join(command): partial(_run, project_dir, command) for command in COMMANDS}
    return {**screens, "one acceptance": _answers(ledger, project)}


def _run(project_dir: Path, command: tuple[str, ...]) -> None:
    shown = ("--limit", "10") if command[0] in LISTS else ()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        code = main(["-C", str(project_dir), *command, *shown])
    assert code in (0, 3), command  # 3: there is no Label Studio here, as `status` says


def filled(ledger: Ledger, samples: int, tasks: int) -> Project:
    """Samples, and tasks of them: of twenty 13 accepted, 6 open, one in conflict."""
    project = projects.bind(ledger, projects.reserve(ledger, TASK_TYPE, "bench"), 1, "<View/>")
    with ledger.transaction() as transaction:
        statement = FILL.format(
            samples=samples, tasks=tasks, task_type=TASK_TYPE, project_id=project.project_id
        )
        transaction.driver.execute(statement.encode())
    return project


def _answers(ledger: Ledger, project: Project) -> Callable[[], object]:
    """Each call receives an answer to another open task."""
    with ledger.transaction() as transaction:
        rows = transaction.rows(
            "SELECT ls_task_id, task_key FROM tasks WHERE state = 'open' ORDER BY ls_task_id"
        )
    waiting, numbers = iter(rows), itertools.count(10**6)

    def answer() -> annotations.Received:
        row, moment = next(waiting), datetime.now(UTC)
        said = {"transcript": f"xin chào {uuid.uuid4()}"}
        given = Annotation(next(numbers), "an", [], said, None, False, False, 5.0, moment, moment)
        received = annotations.receive(
            ledger, project, [Task(row.ls_task_id, row.task_key, moment, (given,))]
        )
        assert received.outcomes == {"accepted": 1}, received
        return received

    return answer
