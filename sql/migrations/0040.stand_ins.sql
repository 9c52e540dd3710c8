-- Which model answers because the one that was wanted first cannot be used: a person must be able to see it.
-- depends: 0019.problems

CREATE TABLE model_stand_ins (
    task_type text PRIMARY KEY,
    version text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE model_stand_ins IS 'the model that stands in for the first choice; a row goes when that answers again';
COMMENT ON COLUMN model_stand_ins.since IS 'when this model was first found to stand in for this reason';
