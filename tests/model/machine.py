"""Whatever may happen to the loop, in any order: the crawler, people, pushes and pulls, and failures between
them.

Every rule takes plain numbers and finds its object by them, so that a run is repeated exactly by its numbers.
"""

from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from lsloop import loop
from lsloop.config import Conflicts
from lsloop.errors import LsloopError, Refused
from lsloop.labelstudio import tasks as studio_tasks
from lsloop.ledger import annotations, conflicts, gold, projects
from lsloop.ledger import tasks as ledger_tasks
from lsloop.loop.pull import court_of
from lsloop.records import Project, Strategy, Task
from lsloop.steps import annotation as steps_annotation
from lsloop.steps import conflict as steps_conflict
from lsloop.task_types import load
from model import picture, promises
from model.picture import Picture, is_ordinary
from model.stage import PEOPLE, SAMPLES, TEXTS, TYPES, Services, Stage, build, clear
from model.studio import Failure, Fault, Json

ANY = st.integers(0, 59)  # a number that finds its object; 60 has many divisors
BOOL = st.booleans()
TYPE = st.sampled_from((TYPES[0], TYPES[0], TYPES[1]))

PUSH_FAILURES: tuple[tuple[str, str, Failure, int] | None, ...] = (
    None, None, None, None,
    ("POST", r"/import\?", "lost", 0), ("POST", r"/import\?", "unanswered", 0),
    ("POST", r"/import\?", "late", 0),
    ("POST", r"/import\?", "refused", 0), ("POST", r"/import\?", "unanswered", 1),
    ("POST", r"/import\?", "late", 1),
    ("GET", r"/api/tasks/\?", "refused", 0), ("GET", r"/api/tasks/\?", "refused", 1),
    ("PATCH", r"/api/tasks/", "lost", 0), ("PATCH", r"/api/tasks/", "unanswered", 0),
)  # fmt: skip
PULL_FAILURES: tuple[tuple[str, str, Failure, int] | None, ...] = (
    None, None, None, None, None,
    ("GET", r"/api/tasks/\?", "refused", 0), ("GET", r"/api/tasks/\?", "refused", 1),
    ("GET", r"/api/tasks/\?", "refused", 2), ("PATCH", r"/api/tasks/", "lost", 0),
    ("PATCH", r"/api/tasks/", "unanswered", 0),
)  # fmt: skip


RULES = (
    Conflicts(), *3 * (Conflicts(text="open", media="open"),),
    Conflicts(text="human_wins", media="crawler_wins"), Conflicts(text="pending_reflow", media="human_wins"),
)  # fmt: skip
STRATEGIES: tuple[Strategy, ...] = ("human_wins", "crawler_wins", "merged", "pending_reflow")

DECIDED = ("state", "settled_version", "accepted_annotation_id", "accepted_hash", "finished_at", "waits_for")
"""What a decision changes of a task."""


class LoopMachine(RuleBasedStateMachine):
    """One run: a stage, the picture of the ledger after the last step, and what was seen on the way."""

    def __init__(self, services: Services, done: Counter[str]) -> None:
        super().__init__()
        self.services, self.done = services, done
        self.stage: Stage | None = None
        self.step = 0
        self.tokens: list[tuple[UUID, UUID]] = []
        self.seen: dict[str, set[Any]] = {one: set() for one in TYPES}
        self.pages: list[tuple[Project, list[Task], int]] = []
        self.errors: list[BaseException] = []
        self.crawled = False
        self.undecided: dict[int, tuple[Json, Json]] = {}
        self.settled: dict[UUID, int] = {}

    @initialize(
        overlap=st.sampled_from((1, 1, 2)), gold=st.sampled_from((0.0, 0.0, 0.3)),
        rules=st.sampled_from(RULES),
        texts=st.lists(ANY, min_size=8, max_size=8),
    )  # fmt: skip
    def begin(self, overlap: int, gold: float, texts: list[int], rules: Conflicts) -> None:
        self.stage = build(self.services, overlap=overlap, gold=gold, rules=rules)
        self.before = picture.take(self.stage_.eye)
        for number in range(SAMPLES - 1):
            self.crawler.say(f"s{number}", "transcript", TEXTS[texts[number] % len(TEXTS)], 0)
            self.crawler.say(f"s{number}", "translation", TEXTS[texts[number + 4] % len(TEXTS)], 0)
            self.crawler.say(f"s{number}", "media", "first", 0)
        self._crawl()
        self.world.push(TYPES[0], limit=3)
        self._over("begin")

    # the crawler

    @rule(
        which=ANY,
        field=st.sampled_from(("transcript", "transcript", "translation", "media")),
        text=ANY,
        prune=BOOL,
    )
    def crawler_changes(self, which: int, field: str, text: int, prune: bool) -> None:
        self._change(which, field, text)
        self._crawl(prune)
        self._over("ingest")

    @rule(which=ANY, drop=BOOL)
    def crawler_drops_or_restores(self, which: int, drop: bool) -> None:
        name = self._sample_name(which)
        if drop and len(self.crawler.fields) - len(self.crawler.dropped) > 1:
            self.crawler.dropped.add(name)
        else:
            self.crawler.dropped.discard(name)
        self._crawl(prune=True)
        self._over("ingest")

    @rule(which=ANY, type_=st.sampled_from((None, *TYPES)), minutes=st.sampled_from((-1, 30)))
    def crawler_locks(self, which: int, type_: str | None, minutes: int) -> None:
        """A lifetime of -1 minute is a lock whose owner died."""
        sample_id = self._sample_id(which)
        free = not [
            one for one in self.before.locks.values()
            if one["sample_id"] == sample_id and one["counts"]
            and (not one["task_type"] or not type_ or one["task_type"] == type_)
        ]  # fmt: skip
        row = self.world.rows(
            "SELECT * FROM lock_sample_for_annotation(:id, 'crawler', :type, make_interval(mins => "
            ":minutes))",
            id=sample_id, type=type_, minutes=minutes,
        )[0]  # fmt: skip
        assert row.success == free, row.message
        assert row.current_sync_version == self.before.samples[sample_id]["sync_version"]
        if row.success:
            self.tokens.append((sample_id, row.token))
        self._over("lock")

    @precondition(lambda self: self.tokens)
    @rule(which=ANY)
    def crawler_renews(self, which: int) -> None:
        if self.tokens:
            _, token = self.tokens[which % len(self.tokens)]
            held = [one for one in self.before.locks.values() if one["token"] == token and one["counts"]]
            assert self.world.value("SELECT renew_lock(:token)", token=token) == bool(held)
        self._over("lock", bool(self.tokens))

    @precondition(lambda self: self.tokens)
    @rule(which=ANY, changed=BOOL, wrong=BOOL)
    def crawler_unlocks(self, which: int, changed: bool, wrong: bool) -> None:
        if self.tokens:
            sample_id, token = self.tokens[which % len(self.tokens)]
            asked = UUID(int=which) if wrong else token
            held = [one for one in self.before.locks.values() if one["token"] == asked]
            done = self.world.value(
                "SELECT unlock_sample(:id, :changed, :token)", id=sample_id, changed=changed, token=asked
            )
            assert done == bool(held)
            # What was written since the lock was taken was counted when it was written.
            seen = bool(held) and self.before.samples[sample_id]["sync_version"] > held[0]["sync_version"]
            self.crawler.versions[self._name(sample_id)] += bool(done and changed and not seen)
        self._over("lock", bool(self.tokens))

    # people in Label Studio

    @precondition(lambda self: self.store.tasks)
    @rule(which=ANY, who=ANY, text=ANY, slow=BOOL, skip=st.sampled_from((False, False, False, True)))
    def somebody_answers(self, which: int, who: int, text: int, slow: bool, skip: bool) -> None:
        self._over("people", self._answer(which, who, text, slow, skip))

    @precondition(lambda self: self.store.annotations)
    @rule(which=ANY, text=ANY)
    def somebody_edits(self, which: int, text: int) -> None:
        self._over("people", self._edit(which, text))

    @precondition(lambda self: self.store.annotations)
    @rule(which=ANY, field=st.sampled_from(("ground_truth", "was_cancelled")), value=BOOL)
    def somebody_marks(self, which: int, field: str, value: bool) -> None:
        found = self._pick(self.store.annotations, which)
        if found:
            studio_tasks.update_annotation(self.stage_.people[0], found["id"], **{field: value})
        self._over("people", bool(found))

    @precondition(lambda self: self.store.annotations)
    @rule(which=ANY)
    def somebody_deletes_an_answer(self, which: int) -> None:
        self._over("people", self._delete_answer(which))

    @precondition(lambda self: self.store.tasks)
    @rule(which=ANY)
    def somebody_deletes_a_task(self, which: int) -> None:
        self._over("people", self._delete_task(which))

    @precondition(lambda self: self.store.late)
    @rule()
    def late_requests_arrive(self) -> None:
        late = list(self.store.late)
        self.store.late.clear()
        for act in late:
            act()
        self._over("people", bool(late))

    # the loop

    @rule(type_=TYPE, limit=st.integers(1, 6), failure=st.sampled_from(PUSH_FAILURES), what=ANY)
    def push(self, type_: str, limit: int, failure: Any, what: int) -> None:
        locked = self._locked_by_the_crawler(type_)
        self._fail(failure)
        disturbed = self._meanwhile("POST", r"/import\?", what) or failure is not None
        try:
            self.world.push(type_, limit=limit)
        except LsloopError:
            if not disturbed:
                raise
            disturbed = True
        self._over("push")
        if not disturbed:
            promises.check_sent_once(self.before, self.store, self._row(type_))
        for task in self.before.tasks.values():
            assert (
                (task["sample_id"], task["task_type"]) not in locked
                or task["id"] in locked[task["sample_id"], task["task_type"]]
                or not is_ordinary(task)
            ), "sent although the crawler holds it"

    @rule(type_=TYPE, steps=st.integers(1, 3))
    def push_is_killed_before_it_sends(self, type_: str, steps: int) -> None:
        """After the claim; after the content was read; after it was written down that it is about to be
        sent."""
        there = loop.setup(self.ledger, self.world.studio, self.world.config, type_).project
        kind = load(type_)
        plan = ledger_tasks.Plan(
            type_, kind.READS, kind.WRITES, self.world.config.params.task_types[type_].overlap
        )
        with self.ledger.in_turn(f"lsloop push {there.project_id}") as turn:
            keys = ledger_tasks.claim(self.ledger, there, plan, 2, claimed_by="killed").keys
            if steps > 1:
                ledger_tasks.content(self.ledger, keys)
            if steps > 2:
                ledger_tasks.about_to_send(turn, dict.fromkeys(keys, "upstream"))
        self._over("push", bool(keys))

    @rule(type_=TYPE, full=BOOL, failure=st.sampled_from(PULL_FAILURES), what=ANY)
    def pull(self, type_: str, full: bool, failure: Any, what: int) -> None:
        there = self._found(type_)
        if there is None:
            return
        self._fail(failure)
        disturbed = self._meanwhile("GET", r"/api/tasks/\?", what) or failure is not None
        visible = promises.standing_versions(self.store, self._row(type_))
        try:
            self.world.pull(type_, full=full)
        except LsloopError:
            if not disturbed:
                raise
        self._over("pull")
        if not disturbed:
            self._check_pulled(type_, visible)

    @precondition(lambda self: self._found(TYPES[0]))
    @rule(type_=TYPE)
    def pull_is_only_tried(self, type_: str) -> None:
        if self._found(type_):
            self.world.pull(type_, dry_run=True)
        self._over("nothing", self._found(type_) is not None)

    @precondition(lambda self: self._found(TYPES[0]))
    @rule(type_=TYPE)
    def a_page_is_read(self, type_: str) -> None:
        """By somebody who is slow to write it down."""
        there = self._found(type_)
        if there:
            assert there.ls_project_id is not None
            kind, asked = load(type_), annotations.begin_read(self.ledger)
            reader = steps_annotation.Reader(
                self.ledger, self.world.studio, there, kind, steps_annotation.Pulled()
            )
            for page in studio_tasks.changed(self.world.studio, there.ls_project_id):
                self.pages.append((there, reader.understood(page)[0], asked))
        self._over("nothing", there is not None)

    @precondition(lambda self: self.pages)
    @rule(which=ANY)
    def an_older_page_is_written_down(self, which: int) -> None:
        if self.pages:
            there, page, asked = self.pages[which % len(self.pages)]
            court = court_of(self.world.config, there)
            annotations.receive(self.ledger, there, page, asked=asked, judge=court.judge)
        self._over("pull", bool(self.pages))

    @precondition(lambda self: self.store.tasks)
    @rule(
        which=ANY,
        field=st.sampled_from(("transcript", "transcript", "translation", "media")),
        text=ANY,
        answer=ANY,
    )
    def crawler_changes_what_somebody_is_at(self, which: int, field: str, text: int, answer: int) -> None:
        """The answer to a task comes after its sample changed, and is pulled."""
        task = self._pick(self.store.tasks, which)
        assert task is not None
        type_ = TYPES[0] if "text" in task["data"] else TYPES[1]
        sample = self.before.tasks[UUID(task["data"]["task_key"])]["sample_id"]
        self._change(int(self._name(sample)[1]), field, text)
        self._crawl()
        self._over("ingest")
        self._over("people", self._answer(which, answer, answer, False, False))
        visible = promises.standing_versions(self.store, self._row(type_))
        self.world.pull(type_)
        self._over("pull")
        self._check_pulled(type_, visible)
        if any(c["status"] == "open" for c in self.before.conflicts.values()):
            self.somebody_decides_a_conflict(which, STRATEGIES[answer % 4], text % 2 == 0)

    # people who decide

    @precondition(lambda self: any(c["status"] == "open" for c in self.before.conflicts.values()))
    @rule(which=ANY, strategy=st.sampled_from(STRATEGIES), undo=BOOL)
    def somebody_decides_a_conflict(self, which: int, strategy: Strategy, undo: bool) -> None:
        """And takes it back at once, or not yet."""
        open_ = conflicts.find(self.ledger, conflicts.Filter())
        decided = bool(open_)
        if open_:
            conflict = open_[which % len(open_)]
            task = self.before.tasks[conflict.task_key]
            was = (self._held(self.before, task), {name: task[name] for name in DECIDED})
            try:
                steps_conflict.resolve(
                    self.ledger, load(conflict.task_type), conflict, strategy, actor="lead"
                )
            except Refused:
                decided = False
            else:
                self.undecided[conflict.conflict_id] = was
                self.settled[conflict.task_key] = self.step
        first = self.before
        self._over("decide" if decided else "nothing", bool(open_))
        if decided and undo and self._undone(conflict.conflict_id):
            self._check_restored(first, self.before)

    @precondition(lambda self: any(c["status"] == "resolved" for c in self.before.conflicts.values()))
    @rule(which=ANY)
    def somebody_takes_a_decision_back(self, which: int) -> None:
        ids = [id_ for id_, c in sorted(self.before.conflicts.items()) if c["status"] == "resolved"]
        if ids:
            self._undone(ids[which % len(ids)])

    def _undone(self, conflict_id: int) -> bool:
        """Undo, if it is possible, and compare with what was before the decision."""
        try:
            conflicts.undo(self.ledger, conflict_id, actor="lead")
        except Refused:
            self._over("nothing")
            return False
        self._over("undo")
        conflict = self.before.conflicts[conflict_id]
        task = self.before.tasks[conflict["task_key"]]
        assert conflict["status"] == "open"
        if conflict_id in self.undecided:
            held, was = self.undecided.pop(conflict_id)
            assert self._held(self.before, task) == held, "undo does not restore what people hold"
            assert {name: task[name] for name in DECIDED} == was, "undo does not restore the task"
        return True

    def _held(self, now: Picture, task: Json) -> Json:
        sample = now.samples[task["sample_id"]]
        return {
            name: (sample["held"][name], sample["fields"][name])
            for name in task["writes"]
            if name in sample["held"]
        }

    def _check_restored(self, first: Picture, now: Picture) -> None:
        """Decided and undone at once: samples, tasks and locks are as they were before, and no child
        lives."""

        def content(one: Picture) -> Json:
            return {id_: {k: v for k, v in row.items() if k != "updated_at"} for id_,
            row in one.samples.items()
                    if row["deleted_at"] is None}  # fmt: skip

        assert content(first) == content(now), "undo does not restore the sample"
        promises.check_unchanged(first, now, "tasks", "locks", "annotations")

    # gold

    @rule(which=ANY, text=ANY, gold_=BOOL)
    def somebody_sets_gold(self, which: int, text: int, gold_: bool) -> None:
        sample_id = self._sample_id(which)
        if gold_ and self.before.samples[sample_id]["deleted_at"] is None:
            gold.set_standard(self.ledger, sample_id, 1.0, "lead", {"transcript": _text(text)})
        else:
            gold.unset_standard(self.ledger, sample_id, "lead")
        self._over("gold")

    @precondition(lambda self: self.before.quarantines)
    @rule(who=ANY)
    def somebody_is_released(self, who: int) -> None:
        if self.before.quarantines:
            loop.release(self.ledger, self.world.config, f"{PEOPLE[who % 3]}@example.com", None, actor="lead")
        self._over("pull", bool(self.before.quarantines))

    @rule(which=ANY, delete=BOOL)
    def somebody_changes_history(self, which: int, delete: bool) -> None:
        """By hand, in SQL: refused."""
        statement = "DELETE FROM revisions" if delete else "UPDATE revisions SET value = '\"forged\"'"
        refused = False
        try:
            self.world.rows(statement + " RETURNING 1")
        except LsloopError:
            refused = True
        assert refused, "history was changed by hand"
        self._over("nothing")

    def teardown(self) -> None:
        if self.stage is None:
            return
        try:
            if not self.errors:
                self._come_to_rest()
        finally:
            clear(self.services, self.stage)

    def _come_to_rest(self) -> None:
        """Nothing is under way any more: push and pull, and push and pull again change nothing that they
        should not."""
        for act in self.store.late:
            act()
        self.store.late.clear()
        for type_ in [one for one in TYPES if self._found(one)]:
            self.world.push(type_, limit=6)
            self._over("push")
            self.world.pull(type_, full=True)
            self._over("pull")
            self.world.push(type_, limit=20)
            self._over("push")
            promises.check_sent_once(self.before, self.store, self._row(type_))
            visible = promises.standing_versions(self.store, self._row(type_))
            self.world.pull(type_)
            self._over("pull")
            self._check_pulled(type_, visible)
            self.world.pull(type_, full=True)
            self._over("nothing")

    # what rules are made of

    @property
    def stage_(self) -> Stage:
        assert self.stage is not None
        return self.stage

    @property
    def world(self) -> Any:
        return self.stage_.world

    @property
    def ledger(self) -> Any:
        return self.stage_.ledger

    @property
    def store(self) -> Any:
        return self.stage_.store

    @property
    def crawler(self) -> Any:
        return self.stage_.crawler

    def _over(self, deed: str, did_something: bool = True) -> None:
        """A step is over: compare the ledger with what it was."""
        self.store.faults.clear()
        if self.errors:
            raise self.errors[0]
        self.step += 1
        self.store.mark = self.step
        if not did_something:
            return
        self.done[deed] += 1
        now = picture.take(self.stage_.eye)
        before, self.before = self.before, now
        crawled, self.crawled = self.crawled, False
        promises.check_always(before, now)
        promises.check_shown(now, self.store)
        self._check_upstream(now)
        for type_ in TYPES:
            promises.check_kept(now, self.seen[type_])
        if deed in ("people", "nothing"):
            promises.check_unchanged(before, now)
        elif deed == "ingest":
            promises.check_unchanged(before, now, "tasks", "annotations", "locks")
            assert {k: s["held"] for k, s in before.samples.items()}.items() <= {
                k: s["held"] for k, s in now.samples.items()
            }.items()
        elif deed == "push" and not crawled:
            promises.check_unchanged(before, now, "samples", "revisions", "annotations", "conflicts")
        elif deed == "lock" or deed == "gold":
            promises.check_unchanged(before, now, "revisions", "tasks", "annotations", "conflicts")
        elif deed == "pull":
            self._check_overwritten(before, now)

    def _check_upstream(self, now: Picture) -> None:
        """The ledger knows what upstream says, and counts its changes; a child has its parent's content."""
        for sample in now.samples.values():
            said = sample["upstream"] or sample["fields"]
            if sample["parent_sample_id"]:
                parent = now.samples[sample["parent_sample_id"]]
                if sample["deleted_at"] is None:
                    assert said == (parent["upstream"] or parent["fields"])
                    assert sample["media_md5"] == parent["media_md5"]
                continue
            name = sample["external_id"]
            assert (sample["deleted_at"] is not None) == (name in self.pruned)
            assert (said, sample["media_md5"]) == self.ingested[name]
            assert sample["sync_version"] == self.crawler.versions[name]

    def _check_pulled(self, type_: str, visible: set[Any]) -> None:
        row = self._row(type_)
        self.seen[type_] |= visible
        promises.check_kept(self.before, visible)
        promises.check_mirrors(self.before, self.store, row)
        promises.check_settled(self.before, row)

    def _check_overwritten(self, before: Picture, now: Picture) -> None:
        """No answer takes the place of what its annotator could not have seen, unless somebody decided so."""
        for key, revision in now.revisions.items():
            if (
                key in before.revisions
                or revision["origin"] != "human"
                or "conflict" in (revision["reason"] or "")
            ):
                continue
            task, sample = now.tasks[revision["task_key"]], now.samples[revision["sample_id"]]
            base, name, field = task["base"], sample["external_id"].split("#")[0], revision["field"]
            answer = now.annotations[revision["annotation_id"]]
            was = before.held_revision(before.samples[sample["id"]], field)
            if was and was["task_key"] == task["id"]:
                continue
            if was:
                assert was["value"] in (base["fields"].get(field), revision["value"]), (
                    "a person's value nobody looked at"
                )
            for read in {*task["reads"], *task["writes"]}:
                if self.crawler.changed.get((name, read), 0) <= self.store.seen[answer["ls_annotation_id"]]:
                    continue
                if any(
                    later > key
                    and r["origin"] == "upstream"
                    and (r["sample_id"], r["field"]) == (sample["id"], read)
                    for later, r in now.revisions.items()
                ):  # in the middle of the pull, after this answer was accepted
                    continue
                if (
                    task["settled_version"]
                    and self.settled.get(task["id"], 0) >= self.crawler.changed[name, read]
                ):
                    continue
                if read == "media":
                    assert sample["media_md5"] == base["media_md5"], "a recording that nobody heard"
                elif read != field:
                    assert sample["fields"].get(read) == base["fields"].get(read), (
                        "what it was judged from changed"
                    )
                else:
                    said = (sample["upstream"] or sample["fields"]).get(read)
                    assert said in (base["fields"].get(field), revision["value"]), (
                        f"upstream's value nobody looked at: {said!r} in step"
                        f" {self.crawler.changed[name, read]}, {task}, {sample}, {answer}, {revision}"
                    )

    def _crawl(self, prune: bool = False) -> None:
        rows = self.crawler.rows()
        self.world.ingest(rows, prune=prune)
        self._note_ingested(rows, prune)
        self.crawled = True

    def _note_ingested(self, rows: list[Json], prune: bool) -> None:
        if not hasattr(self, "ingested"):
            self.ingested: dict[str, tuple[dict[str, str], str]] = {}
            self.pruned: set[str] = set()
        for row in rows:
            name = row["external_id"]
            said = (dict(self.crawler.fields[name]), self.crawler.md5(name))
            if name not in self.ingested:
                self.crawler.versions[name] = 1
            elif self.ingested[name] != said:
                self.crawler.versions[name] += 1
            self.ingested[name] = said
        present = {row["external_id"] for row in rows}
        self.pruned -= present
        if prune:
            self.pruned |= self.ingested.keys() - present

    def _change(self, which: int, field: str, text: int) -> None:
        name = f"s{which % SAMPLES}"
        if name not in self.crawler.media:
            self.crawler.say(name, "media", "first", self.step)
            self.crawler.say(name, "transcript", _text(text), self.step)
        elif field == "media":
            self.crawler.say(name, "media", ("first", "second", "third")[text % 3], self.step)
        elif field == "translation" and text % 7 == 0:
            self.crawler.say(name, "translation", None, self.step)
        else:
            self.crawler.say(name, field, _text(text), self.step)

    def _answer(self, which: int, who: int, text: int, slow: bool, skip: bool) -> bool:
        found = self._pick(self.store.tasks, which)
        if found is None:
            return False
        # No two moments are the same to the microsecond.
        self.store.slowness = slow * (4 * self.store.tick + timedelta(microseconds=1 + self.step))
        given = [] if skip or text % 11 == 10 else _result(found, text)
        studio_tasks.annotate(
            self.stage_.people[who % 3], found["id"], given, was_cancelled=skip, lead_time=0.0
        )
        return True

    def _edit(self, which: int, text: int) -> bool:
        found = self._pick(self.store.annotations, which)
        if found is None:
            return False
        given = [] if text % 11 == 10 else _result(self.store.tasks[found["task"]], text)
        studio_tasks.update_annotation(self.stage_.people[0], found["id"], result=given)
        return True

    def _delete_answer(self, which: int) -> bool:
        found = self._pick(self.store.annotations, which)
        if found:
            studio_tasks.delete_annotation(self.stage_.people[0], found["id"])
        return found is not None

    def _delete_task(self, which: int) -> bool:
        found = self._pick(self.store.tasks, which)
        if found:
            studio_tasks.delete(self.stage_.people[0], found["project"], [found["id"]])
        return found is not None

    def _meanwhile(self, method: str, path: str, what: int) -> bool:
        """For some numbers: what somebody does while a request is under way. Answers whether something is
        planned."""
        acts = {
            1: lambda: self._answer(what, what, what, False, False), 2: lambda: self._edit(what, what),
            3: lambda: self._delete_answer(what), 4: lambda: self._delete_task(what),
            5: lambda: (self._change(what // 10, "transcript", what), self._crawl()),
            6: lambda: (self._change(what // 10, "media", what), self._crawl()),
        }  # fmt: skip
        act = acts.get(what % 10)
        if act is None:
            return False

        def carefully() -> None:
            try:
                act()
            except BaseException as error:  # it happens in the server's thread
                self.errors.append(error)

        self.store.faults.append(Fault(method, path, meanwhile=carefully, skip=what % 3))
        return True

    def _fail(self, failure: tuple[str, str, Failure, int] | None) -> None:
        if failure:
            method, path, how, skip = failure
            self.store.faults.append(Fault(method, path, how, skip=skip))

    def _pick(self, rows: dict[int, Json], which: int) -> Json | None:
        ids = sorted(rows)
        return rows[ids[which % len(ids)]] if ids else None

    def _sample_name(self, which: int) -> str:
        names = sorted(self.crawler.fields)
        return str(names[which % len(names)])

    def _sample_id(self, which: int) -> UUID:
        by_name = {sample["external_id"]: id_ for id_, sample in self.before.samples.items()}
        names = sorted(name for name in by_name if "#" not in name)
        found: UUID = by_name[names[which % len(names)]]
        return found

    def _name(self, sample_id: UUID) -> str:
        return str(self.before.samples[sample_id]["external_id"])

    def _found(self, type_: str) -> Project | None:
        found = projects.find(self.ledger, type_, self.world.config.label_studio_server)
        return found if found and found.ls_project_id is not None else None

    def _row(self, type_: str) -> Json:
        found = self._found(type_)
        assert found is not None
        return {"project_id": found.project_id, "ls_project_id": found.ls_project_id}

    def _locked_by_the_crawler(self, type_: str) -> dict[tuple[UUID, str], set[UUID]]:
        """Samples that it holds, each with the tasks that it has already."""
        return {
            (lock["sample_id"], type_): {
                key for key, task in self.before.tasks.items() if task["sample_id"] == lock["sample_id"]
            }
            for lock in self.before.locks.values()
            if lock["task_key"] is None and lock["counts"] and lock["task_type"] in (None, type_)
        }


def _text(number: int) -> str:
    return TEXTS[number % len(TEXTS)]


def _result(task: Json, text: int) -> list[Json]:
    """An answer as the page sends it, to either type of task."""
    control, shown = ("transcription", "audio") if "text" in task["data"] else ("translation", "source")
    value = {"text": [_text(text)]}
    return [{"id": "t", "from_name": control, "to_name": shown, "type": "textarea", "value": value}]
