-- Rounds of `lsloop loop`: how far each one is, and what came of its parts.
-- depends: 0004.export

CREATE TABLE rounds (
    round_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task_type text NOT NULL,
    series bigint NOT NULL,
    number integer NOT NULL CHECK (number >= 1),
    of_rounds integer NOT NULL CHECK (of_rounds >= number),
    wanted jsonb NOT NULL,
    started_by text NOT NULL CHECK (started_by <> ''),
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    resumed integer NOT NULL DEFAULT 0,
    parts jsonb NOT NULL DEFAULT '{}',
    ended_at timestamptz,
    UNIQUE (series, number)
);
CREATE UNIQUE INDEX one_open_round ON rounds (task_type) WHERE ended_at IS NULL;
CREATE INDEX rounds_of_task_type ON rounds (task_type, round_id);
COMMENT ON TABLE rounds IS 'every turn of the whole loop: predict, push, wait for people, pull, export, retrain';
COMMENT ON COLUMN rounds.series IS 'the first round of those that one wish for so many rounds made';
COMMENT ON COLUMN rounds.wanted IS 'how many tasks were to be sent, how many accepted answers were waited for, and in which order';
COMMENT ON COLUMN rounds.resumed IS 'how often somebody went on with it';
COMMENT ON COLUMN rounds.parts IS 'each part that is done, by its name, with what came of it: it is not done again';
CREATE INDEX tasks_by_claim ON tasks (task_type, claimed_at);
