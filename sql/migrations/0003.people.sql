-- Gold references, hidden probes and their scores; several annotators, adjudication and quarantine.
-- depends: 0002.conflicts

CREATE TABLE gold_standards (
    gold_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sample_id uuid NOT NULL REFERENCES samples,
    reference jsonb NOT NULL CHECK (jsonb_typeof(reference) = 'object' AND reference <> '{}'),
    gold_score numeric NOT NULL CHECK (gold_score BETWEEN 0 AND 1),
    sync_version integer NOT NULL,
    authors text[] NOT NULL DEFAULT '{}',
    set_by text NOT NULL CHECK (set_by <> ''),
    set_at timestamptz NOT NULL DEFAULT now(),
    unset_by text,
    unset_at timestamptz,
    CHECK ((unset_at IS NULL) = (unset_by IS NULL))
);
COMMENT ON TABLE gold_standards IS 'every reference a sample ever had; the one without unset_at counts';
COMMENT ON COLUMN gold_standards.reference IS 'the right value of fields';
COMMENT ON COLUMN gold_standards.gold_score IS 'how sure whoever set it is, from 0 to 1';
COMMENT ON COLUMN gold_standards.sync_version IS 'of the sample, when the reference was set: it says nothing about later content';
COMMENT ON COLUMN gold_standards.authors IS 'annotators whose own answers the reference is: it does not measure them';
CREATE UNIQUE INDEX one_gold_standard ON gold_standards (sample_id) WHERE unset_at IS NULL;
CREATE INDEX samples_gold ON samples (sample_id) WHERE is_gold_standard;

CREATE TABLE gold_scores (
    annotation_id bigint NOT NULL,
    version integer NOT NULL,
    gold_id bigint NOT NULL REFERENCES gold_standards,
    task_type text NOT NULL,
    annotator text NOT NULL,
    submitted_at timestamptz NOT NULL,
    score double precision NOT NULL CHECK (score BETWEEN 0 AND 1),
    errors integer CHECK (errors >= 0),
    words integer CHECK (words >= 0),
    scored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (annotation_id, version, gold_id),
    FOREIGN KEY (annotation_id, version) REFERENCES annotation_history
);
COMMENT ON TABLE gold_scores IS 'each version of an answer to a probe, against each reference it was held to';
COMMENT ON COLUMN gold_scores.errors IS 'wrong, missing and extra words, where the task type counts words';
COMMENT ON COLUMN gold_scores.words IS 'of the reference';
CREATE INDEX gold_scores_of_annotator ON gold_scores (task_type, annotator, submitted_at);

CREATE TABLE quarantines (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    annotator text NOT NULL,
    task_type text NOT NULL,
    since timestamptz,
    score double precision NOT NULL,
    floor double precision NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    lifted_at timestamptz,
    lifted_by text,
    reason text,
    fresh_from timestamptz,
    CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
COMMENT ON COLUMN quarantines.since IS 'what they submitted after this is held; in Label Studio''s time; NULL: everything';
COMMENT ON COLUMN quarantines.fresh_from IS 'released by hand: probes up to this one are not held against them again';
CREATE UNIQUE INDEX one_quarantine ON quarantines (annotator, task_type) WHERE lifted_at IS NULL;
CREATE INDEX annotations_of_annotator ON annotations (annotator, ls_updated_at);

CREATE TABLE consensus (
    task_key uuid PRIMARY KEY REFERENCES tasks,
    answers text NOT NULL,
    agreement double precision NOT NULL CHECK (agreement BETWEEN 0 AND 1),
    threshold double precision NOT NULL,
    annotation_id bigint NOT NULL REFERENCES annotations,
    remarks jsonb NOT NULL DEFAULT '[]',
    decided_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE consensus IS 'how far the answers to a task agree, and which is closest to the others';
COMMENT ON COLUMN consensus.remarks IS 'what each of them ticked and rated beside the answer, in a fixed order';
COMMENT ON COLUMN consensus.answers IS 'a digest of the answers that were compared: with others it says nothing';

ALTER TABLE tasks ADD COLUMN adjudicates uuid REFERENCES tasks,
                  ADD COLUMN waits_for text CHECK (waits_for IN ('adjudication', 'review')),
                  ADD CHECK (waits_for IS NULL OR state = 'annotated'),
                  DROP CONSTRAINT tasks_state_check,
                  ADD CONSTRAINT tasks_state_check CHECK (state IN (
                      'claimed', 'open', 'annotated', 'conflicted', 'accepted', 'resolved', 'cancelled', 'parked', 'probed'));
COMMENT ON COLUMN tasks.adjudicates IS 'the task whose answers did not agree, between which this one is to decide';
COMMENT ON COLUMN tasks.waits_for IS 'why an annotated task is not accepted: adjudication, or review of a quarantined annotator';
ALTER TABLE projects ADD COLUMN examined jsonb;
COMMENT ON COLUMN projects.examined IS 'the state of gold and settings for which every answer to a probe was scored; NULL: it was not';
-- Probes write nothing, so many may be at work on one sample; an adjudication stands beside the task it decides.
DROP INDEX one_live_task;
CREATE UNIQUE INDEX one_live_task ON tasks (sample_id, task_type)
    WHERE state IN ('claimed', 'open', 'annotated', 'conflicted') AND NOT is_gold_probe AND adjudicates IS NULL;
CREATE UNIQUE INDEX one_live_adjudication ON tasks (adjudicates)
    WHERE state IN ('claimed', 'open', 'annotated', 'conflicted') AND adjudicates IS NOT NULL;
CREATE INDEX tasks_probes ON tasks (project_id) WHERE is_gold_probe;
CREATE INDEX tasks_waiting ON tasks (project_id) WHERE waits_for IS NOT NULL;
