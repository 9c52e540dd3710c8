-- A push finds the samples that wait without looking at all that were sent before them.
-- depends: 0040.stand_ins

CREATE TABLE claim_fronts (
    task_type text PRIMARY KEY,
    reads text[] NOT NULL,
    arrival bigint NOT NULL
);
COMMENT ON TABLE claim_fronts IS
    'how far the oldest samples of a task type were gone through; without a row: not at all';
COMMENT ON COLUMN claim_fronts.reads IS
    'what annotators read: a task takes its sample only as long as nothing of that changes';
COMMENT ON COLUMN claim_fronts.arrival IS
    'each sample that arrived up to here and that no task takes is in waiting_samples';

CREATE TABLE waiting_samples (
    task_type text NOT NULL,
    arrival bigint NOT NULL,
    sample_id uuid NOT NULL
);
COMMENT ON TABLE waiting_samples IS
    'samples that a task may have let go, and those that claims passed over; one may be noted more than once';
CREATE INDEX waiting_samples_in_order ON waiting_samples (task_type, arrival);
