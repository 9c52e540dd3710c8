"""Conflicts: what counts as one, the four ways to decide it, and the way back."""

import pytest

from lsloop.config import Conflicts
from lsloop.errors import Refused
from lsloop.ledger import Ledger, conflicts
from lsloop.records import Strategy
from office import Office

MERGING = Conflicts(text="merged")
STRATEGIES: list[Strategy] = ["human_wins", "crawler_wins", "merged", "pending_reflow"]


@pytest.fixture
def office(ledger: Ledger) -> Office:
    """One sample, sent."""
    made = Office(ledger)
    made.crawl("a", transcript="one two three four five", translation="x")
    made.send()
    return made


@pytest.fixture
def disputed(office: Office) -> Office:
    """Upstream changed the third word while the annotator changed the first."""
    office.crawl("a", transcript="one two THREE four five", translation="x")
    assert office.answer("a", "ONE two three four five") == {"conflicted": 1}
    return office


def test_a_change_of_what_the_task_writes_is_a_conflict_with_all_three_sides(disputed: Office) -> None:
    found = disputed.conflict()
    assert (found.fields, found.moved, found.status) == (["transcript"], {"transcript": "upstream"}, "open")
    sides = found.base["fields"]["transcript"], found.ours, found.theirs["fields"]["transcript"]
    assert sides == (
        "one two three four five",
        {"transcript": "ONE two three four five"},
        "one two THREE four five",
    )
    assert disputed.state("a") == "conflicted"
    assert disputed.value("SELECT count(*) FROM locks WHERE released_at IS NULL") == 1


def test_a_change_of_what_the_task_neither_reads_nor_writes_is_none(office: Office) -> None:
    office.crawl("a", transcript="one two three four five", translation="y")
    assert office.answer("a", "ONE") == {"accepted": 1}


def test_a_field_that_upstream_added_or_removed_meanwhile_is_a_conflict(ledger: Ledger) -> None:
    office = Office(ledger)
    office.crawl("without")
    office.crawl("with", transcript="one")
    assert office.send() == ["without", "with"]
    office.crawl("without", transcript="upstream's")
    office.crawl("with")
    assert office.answer("without", "heard") == {"conflicted": 1}
    assert office.answer("with", "heard") == {"conflicted": 1}
    sides = [(c.base["fields"], c.theirs["fields"]) for c in conflicts.find(ledger, conflicts.Filter())]
    assert sides == [({}, {"transcript": "upstream's"}), ({"transcript": "one"}, {})]


def test_a_change_of_what_the_annotator_judges_from_is_a_conflict(ledger: Ledger) -> None:
    office = Office(ledger, "translation_review")
    office.crawl("a", transcript="xin chào", translation="hello")
    office.send()
    office.crawl("a", transcript="tạm biệt", translation="hello")
    assert office.answer("a", "hello there") == {"conflicted": 1}
    assert office.conflict().fields == ["transcript"]


def test_a_change_upstream_of_a_source_that_people_hold_against_it_is_none(ledger: Ledger) -> None:
    office, other = Office(ledger, "translation_review"), Office(ledger)
    office.crawl("a", transcript="xin chào", translation="hello")
    other.send()
    other.answer("a", "xin chào bạn")
    office.send()
    office.crawl("a", transcript="tạm biệt", translation="hello")
    assert office.answer("a", "hello there") == {"accepted": 1}


def test_a_recording_that_was_replaced_is_a_conflict_and_one_that_came_back_is_none(office: Office) -> None:
    office.crawl("a", media="2", transcript="one two three four five", translation="x")
    assert office.answer("a", "ONE") == {"conflicted": 1}
    assert office.conflict().fields == ["media"]
    office.crawl("a", media="1", transcript="one two three four five", translation="x")
    assert office.conflict().fields == []
    office.by_rule()
    assert (office.state("a"), office.current("a")) == ("resolved", "ONE")


def test_a_newer_value_that_people_accepted_elsewhere_is_a_conflict(ledger: Ledger) -> None:
    first = Office(ledger)
    first.crawl("a", transcript="one")
    first.send()
    first.answer("a", "ONE")
    first.crawl("a", media="2", transcript="one")
    second = Office(ledger, numbers=first.numbers, clock=first.clock)
    assert second.send() == ["a"]
    assert second.answer("a", "TWO") == {"accepted": 1}
    first.clock = second.clock
    first.crawl("a", media="1", transcript="one")
    assert first.answer("a", "ONE!") == {"conflicted": 1}
    assert first.conflict().moved == {"transcript": "people"}
    assert first.by_rule(Conflicts(text="human_wins")) == {}, "two people's answers are for people to decide"
    first.decide("crawler_wins")
    assert first.current("a") == "TWO"


def test_an_open_conflict_says_what_both_sides_say_now(disputed: Office) -> None:
    disputed.crawl("a", transcript="one two 3 four five", translation="x")
    disputed.answer("a", "1 two three four five")
    found = disputed.conflict()
    assert (found.ours, found.theirs["fields"]["transcript"]) == (
        {"transcript": "1 two three four five"},
        "one two 3 four five",
    )


def test_a_conflict_ends_by_itself_when_upstream_comes_to_say_what_is_answered(disputed: Office) -> None:
    disputed.crawl("a", transcript="ONE two three four five", translation="x")
    disputed.by_rule()
    assert conflicts.find(disputed.ledger, conflicts.Filter()) == []
    assert (disputed.state("a"), disputed.history("a")[-1]) == (
        "resolved",
        ("ONE two three four five", "human"),
    )


def test_human_wins_makes_the_answer_current_and_keeps_what_upstream_said(disputed: Office) -> None:
    disputed.decide("human_wins", reason="I listened")
    assert disputed.history("a") == [
        ("one two three four five", "upstream"),
        ("one two THREE four five", "upstream"), ("ONE two three four five", "human"),
    ]  # fmt: skip
    assert disputed.current("a") == "ONE two three four five"
    row = disputed.rows("SELECT actor, reason FROM revisions WHERE origin = 'human'")[0]
    assert (row.actor, row.reason) == ("an", "conflict 1: human_wins by lead: I listened")
    assert (disputed.state("a"), disputed.send()) == ("resolved", [])
    assert disputed.value("SELECT count(*) FROM locks WHERE released_at IS NULL") == 0
    (line,) = conflicts.story(disputed.ledger, 1)
    assert (line["actor"], line["action"], line["reason"]) == ("lead", "human_wins", "I listened")


def test_crawler_wins_leaves_upstreams_value_and_the_answer_in_the_history(disputed: Office) -> None:
    disputed.decide("crawler_wins")
    assert disputed.current("a") == "one two THREE four five"
    row = disputed.rows("SELECT value, superseded_at FROM annotations")[0]
    assert row.value == {"transcript": "ONE two three four five"}
    assert row.superseded_at is not None
    assert disputed.answer("a", "ONE two three four five") == {}, "the same answer is not in dispute again"
    assert disputed.answer("a", "ONE two three four FIVE") == {"conflicted": 1}, "a new one is"


def test_a_merge_takes_both_sides_changes(disputed: Office) -> None:
    disputed.decide("merged")
    assert disputed.current("a") == "ONE two THREE four five"
    assert disputed.history("a")[-1] == ("ONE two THREE four five", "merged")
    assert disputed.answer("a", "ONE two three four FIVE") == {"conflicted": 1}, (
        "an edit is merged anew, not put over the merge"
    )
    assert disputed.by_rule(MERGING) == {"merged": 1}
    assert disputed.current("a") == "ONE two THREE four FIVE"


def test_overlapping_edits_stay_open_and_are_not_tried_again_before_a_side_moves(office: Office) -> None:
    office.crawl("a", transcript="one two THREE four five", translation="x")
    office.answer("a", "one two 3 four five")
    assert office.by_rule(MERGING) == {}
    found = office.conflict()
    assert found.tried == found.seen
    with pytest.raises(Refused, match="both sides changed the same part of transcript"):
        office.decide("merged")
    office.answer("a", "ONE two three four five")
    assert office.by_rule(MERGING) == {"merged": 1}


def test_who_listened_confirmed_the_words_they_left_standing(ledger: Ledger) -> None:
    office = Office(ledger)
    office.crawl("a", transcript="cho anh hẹn thứ năm")
    office.send()
    office.crawl("a", transcript="cho sếp hẹn thứ năm")
    office.answer("a", "cho anh hẹn thứ sáu")
    assert office.by_rule() == {"human_wins": 1}, "the default"
    assert office.current("a") == "cho anh hẹn thứ sáu"
    assert office.history("a")[1] == ("cho sếp hẹn thứ năm", "upstream"), "upstream's word is kept"


def test_a_merge_says_which_words_nobody_checked(ledger: Ledger) -> None:
    office = Office(ledger)
    office.crawl("a", transcript="cho anh hẹn vào thứ năm")
    office.send()
    office.crawl("a", transcript="cho sếp hẹn vào thứ năm")
    office.answer("a", "cho anh hẹn vào thứ sáu")
    assert office.by_rule(MERGING) == {"merged": 1}
    assert office.current("a") == "cho sếp hẹn vào thứ sáu"
    remarks = office.value("SELECT remarks FROM revisions WHERE origin = 'merged'")
    assert remarks["unchecked"] == {"transcript": ["sếp"]}


def test_a_replaced_recording_is_never_merged(office: Office) -> None:
    office.crawl("a", media="2", transcript="one two THREE four five", translation="x")
    office.answer("a", "ONE two three four five")
    with pytest.raises(Refused, match="media changed, which the annotator judged from"):
        office.decide("merged")
    call = "SELECT resolve_merged(1, 'psql', jsonb_build_object('transcript', CAST('x' AS text)))"
    with pytest.raises(Refused, match="cannot be merged"):
        office.rows(call)


def test_pending_reflow_sends_the_new_content_round_again_with_the_answer_to_begin_from(
    office: Office,
) -> None:
    office.crawl("later", transcript="x")
    office.crawl("a", media="2", transcript="one two three four five", translation="x")
    office.answer("a", "ONE two three four five")
    assert office.by_rule() == {"pending_reflow": 1}
    assert (office.state("a"), office.current("a")) == ("resolved", "one two three four five")
    child = office.rows("SELECT * FROM samples WHERE parent_sample_id IS NOT NULL")[0]
    assert (child.media_md5, child.fields["transcript"], child.only_task_type) == (
        "md5 2", "one two three four five", "transcript_correction",
    )  # fmt: skip
    assert child.priority > 0
    assert office.send() == [child.external_id, "later"], (
        "in its parent's place, and the parent itself not at all"
    )
    shown = office.rows("SELECT p.* FROM tasks t JOIN predictions p USING (prediction_id)")[0]
    assert (shown.model_version, shown.value) == ("human-reflow", {"transcript": "ONE two three four five"})
    assert Office(office.ledger, "audio_segmentation").send() == ["a", "later"], (
        "the child is for one task type only"
    )


@pytest.fixture
def going_round(office: Office) -> Office:
    """A sample whose answer went round again, and was edited after that."""
    office.crawl("a", media="2", transcript="one two three four five", translation="x")
    office.answer("a", "ONE")
    assert office.by_rule() == {"pending_reflow": 1}
    assert office.answer("a", "ONE TWO") == {"conflicted": 1}
    return office


def children(office: Office) -> list[str]:
    found = office.rows("SELECT external_id FROM samples WHERE parent_sample_id IS NOT NULL")
    return [row.external_id for row in found]


def begins_from(office: Office) -> str:
    return str(
        office.value("SELECT value ->> 'transcript' FROM predictions WHERE model_version = 'human-reflow'")
    )


def test_an_answer_edited_while_its_content_goes_round_does_not_send_it_twice(going_round: Office) -> None:
    assert going_round.by_rule() == {"pending_reflow": 1}
    assert (children(going_round), begins_from(going_round)) == (["a#reflow-1"], "ONE TWO")
    assert going_round.send() == ["a#reflow-1"]
    assert going_round.answer("a", "ONE TWO THREE") == {"conflicted": 1}
    assert going_round.by_rule() == {"pending_reflow": 1}, (
        "an annotator is at it, and the edit is in the history"
    )
    assert children(going_round) == ["a#reflow-1"]


def test_undo_of_the_second_decision_leaves_what_the_first_one_sent_round(going_round: Office) -> None:
    before = going_round.everything()
    going_round.by_rule()
    conflicts.undo(going_round.ledger, 2, actor="lead")
    assert going_round.everything() == before
    assert (children(going_round), begins_from(going_round)) == (["a#reflow-1"], "ONE")
    assert going_round.value("SELECT deleted_at FROM samples WHERE parent_sample_id IS NOT NULL") is None
    going_round.decide("human_wins")


def test_an_edit_after_the_new_content_was_reviewed_is_for_people(going_round: Office) -> None:
    going_round.send()
    going_round.answer("a#reflow-1", "reviewed")
    assert going_round.by_rule() == {}
    with pytest.raises(Refused, match="a#reflow-1 was reviewed"):
        going_round.decide("pending_reflow")
    going_round.decide("crawler_wins")


def test_what_is_no_longer_upstream_does_not_go_round_again(office: Office) -> None:
    office.crawl("a", media="2", transcript="one two three four five", translation="x")
    office.answer("a", "ONE")
    office.crawl("b", transcript="x", prune=True)
    assert office.by_rule() == {}
    with pytest.raises(Refused, match="Sample a is no longer upstream"):
        office.decide("pending_reflow")
    office.decide("human_wins")


def test_a_child_follows_its_parent_which_waits_while_the_child_lives(office: Office) -> None:
    office.crawl("a", media="2", transcript="one two three four five", translation="x")
    office.answer("a", "ONE")
    office.by_rule()
    (name,) = office.send()
    office.crawl("a", media="3", transcript="one two three four five", translation="x")
    assert office.value("SELECT media_md5 FROM samples WHERE parent_sample_id IS NOT NULL") == "md5 3"
    assert office.send() == []
    assert office.answer(name, "TWO") == {"conflicted": 1}, (
        "the child's own annotator heard the old recording"
    )
    office.crawl("b", transcript="x", prune=True)
    assert office.value("SELECT count(*) FROM samples WHERE deleted_at IS NULL") == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_undo_restores_exactly_and_appends_to_the_history(disputed: Office, strategy: Strategy) -> None:
    before, revisions = disputed.everything(), disputed.rows("SELECT * FROM revisions ORDER BY revision_id")
    disputed.decide(strategy)
    decided = disputed.history("a")
    assert conflicts.undo(disputed.ledger, 1, actor="lead", reason="a slip") == strategy
    assert disputed.everything() == before
    assert disputed.rows("SELECT * FROM revisions ORDER BY revision_id")[: len(revisions)] == revisions
    assert disputed.history("a")[: len(decided)] == decided
    assert [line["action"] for line in conflicts.story(disputed.ledger, 1)] == [strategy, "undo"]
    assert disputed.by_rule() == {}, "what somebody undid is for people"
    disputed.decide("human_wins")
    assert disputed.current("a") == "ONE two three four five"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_undo_restores_an_earlier_accepted_value(office: Office, strategy: Strategy) -> None:
    office.answer("a", "accepted before")
    office.crawl("a", media="2", transcript="new", translation="x")
    office.answer("a", "edited later")
    before = office.everything()
    if strategy == "merged":
        with pytest.raises(Refused):
            office.decide(strategy)
        return
    office.decide(strategy)
    conflicts.undo(office.ledger, 1, actor="lead")
    assert office.everything() == before
    assert office.current("a") == "accepted before"


def test_undo_keeps_what_upstream_changed_since(disputed: Office) -> None:
    disputed.decide("human_wins")
    disputed.crawl("a", transcript="upstream once more", translation="x")
    conflicts.undo(disputed.ledger, 1, actor="lead")
    assert disputed.current("a") == "upstream once more"
    assert disputed.conflict().theirs["fields"]["transcript"] == "upstream once more"


def test_undo_is_refused_once_something_was_built_on_the_decision(disputed: Office) -> None:
    disputed.decide("human_wins")
    disputed.answer("a", "edited after that")
    with pytest.raises(Refused, match="has moved on and is accepted now"):
        conflicts.undo(disputed.ledger, 1, actor="lead")
    assert disputed.current("a") == "edited after that"


def test_undo_is_refused_while_the_content_is_at_work_again(office: Office) -> None:
    office.crawl("a", media="2", transcript="new", translation="x")
    office.answer("a", "heard")
    office.decide("pending_reflow")
    office.send()
    with pytest.raises(Refused, match="went round again, in task") as refusal:
        conflicts.undo(office.ledger, 1, actor="lead")
    assert "Delete that task in Label Studio" in refusal.value.fix


def test_undo_is_refused_while_a_crawler_holds_the_sample(disputed: Office) -> None:
    disputed.decide("human_wins")
    disputed.rows("SELECT lock_sample_for_annotation(sample_id, 'crawler') FROM samples")
    with pytest.raises(Refused, match="crawler holds its sample"):
        conflicts.undo(disputed.ledger, 1, actor="lead")


def test_a_decision_on_what_has_moved_on_is_refused_and_changes_nothing(disputed: Office) -> None:
    seen = disputed.conflict()
    disputed.crawl("a", transcript="one two THREE 4 five", translation="x")
    before = disputed.everything()
    for strategy in STRATEGIES:
        with pytest.raises(Refused, match="moved on since it was looked at"):
            conflicts.resolve(disputed.ledger, seen, strategy, actor="lead", merged={"transcript": "m"})
    assert disputed.everything() == before


def test_a_conflict_is_decided_once(disputed: Office) -> None:
    seen = disputed.conflict()
    conflicts.resolve(disputed.ledger, seen, "human_wins", actor="lead")
    with pytest.raises(Refused, match="Conflict 1 is not open: human_wins by lead") as refusal:
        conflicts.resolve(disputed.ledger, seen, "crawler_wins", actor="other")
    assert "undo" in refusal.value.fix


def test_an_answer_that_is_deleted_takes_its_conflict_with_it(disputed: Office) -> None:
    assert disputed.answer("a", None) == {"withdrawn": 1}
    assert disputed.value("SELECT status FROM conflicts") == "withdrawn"
    assert (disputed.state("a"), disputed.current("a")) == ("open", "one two THREE four five")
    assert disputed.value("SELECT count(*) FROM annotation_history") == 2


@pytest.mark.parametrize("strategy", ["human_wins", "merged"])
def test_an_answer_that_is_deleted_after_the_decision_withdraws_its_value(
    disputed: Office, strategy: Strategy
) -> None:
    disputed.decide(strategy)
    assert disputed.answer("a", None) == {"withdrawn": 1}
    assert (disputed.state("a"), disputed.current("a")) == ("open", "one two THREE four five")
    assert disputed.history("a")[-1] == ("one two THREE four five", "upstream")


def test_an_edit_after_human_wins_is_a_new_revision(disputed: Office) -> None:
    disputed.decide("human_wins")
    assert disputed.answer("a", "ONE two three four FIVE") == {"accepted": 1}
    assert disputed.current("a") == "ONE two three four FIVE"


def test_an_edit_after_acceptance_is_a_revision_although_upstream_was_set_aside_meanwhile(
    office: Office,
) -> None:
    office.answer("a", "heard")
    office.crawl("a", transcript="upstream's new one", translation="x")
    assert office.answer("a", "heard better") == {"accepted": 1}
    assert office.current("a") == "heard better"


def test_an_edit_that_is_taken_back_takes_its_conflict_with_it(office: Office) -> None:
    office.answer("a", "heard")
    office.crawl("a", media="2", transcript="one two three four five", translation="x")
    assert office.answer("a", "edited") == {"conflicted": 1}
    assert office.answer("a", "heard") == {"accepted": 1}
    assert (office.state("a"), office.current("a")) == ("accepted", "heard")
    assert office.value("SELECT status FROM conflicts") == "withdrawn"
    assert office.value("SELECT count(*) FROM locks WHERE released_at IS NULL") == 0


def test_a_value_that_upstream_came_to_share_is_kept_when_its_annotation_is_deleted(office: Office) -> None:
    office.answer("a", "both say this")
    office.crawl("a", transcript="both say this", translation="x")
    assert office.answer("a", None) == {"withdrawn": 1}
    assert office.current("a") == "both say this"


def test_an_accepted_answer_stands_when_another_one_is_deleted(ledger: Ledger) -> None:
    office = Office(ledger)
    office.crawl("a", transcript="one")
    office.send(overlap=2)
    assert office.answer("a", "same", "an") == {"annotated": 1}
    assert office.answer("a", "same", "binh") == {"accepted": 1}
    assert office.answer("a", None, "binh") == {}
    assert (office.state("a"), office.current("a")) == ("accepted", "same")


def test_a_task_that_was_skipped_too_often_is_parked_until_its_content_changes(office: Office) -> None:
    from lsloop.ledger import tasks

    for skipper in ("an", "binh"):
        office.answer("a", "", skipper, was_cancelled=True)
    assert tasks.park(office.ledger, office.project, 3) == 0
    assert tasks.park(office.ledger, office.project, 2) == 1
    assert (office.state("a"), office.send()) == ("parked", [])
    assert office.value("SELECT count(*) FROM locks WHERE released_at IS NULL") == 0
    office.crawl("a", media="2", transcript="one two three four five", translation="x")
    old = dict(office.there)
    assert office.send() == ["a"]
    office.there = old
    assert office.answer("a", "after all", "chi") == {"conflicted": 1}, (
        "an answer to the old task is not lost"
    )
    assert office.conflict().waits


def test_an_answer_to_a_parked_task_is_accepted(office: Office) -> None:
    from lsloop.ledger import tasks

    office.answer("a", "", was_cancelled=True)
    tasks.park(office.ledger, office.project, 1)
    assert office.answer("a", "I could hear it", "binh") == {"accepted": 1}
    assert office.current("a") == "I could hear it"


def test_the_audit_is_append_only(disputed: Office) -> None:
    disputed.decide("human_wins")
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit", "TRUNCATE audit"):
        with pytest.raises(Refused, match="append only"), disputed.ledger.transaction() as transaction:
            transaction.run(statement)
