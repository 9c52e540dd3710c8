-- What the ledger was like when a folder was last brought up to it, so that an export knows when there is nothing to do.
-- depends: 0004.export

CREATE TABLE export_states (
    destination text NOT NULL,
    task_type text NOT NULL,
    layout text NOT NULL,
    state text NOT NULL,
    index_sha256 text NOT NULL,
    PRIMARY KEY (destination, task_type)
);
COMMENT ON COLUMN export_states.destination IS 'machine and folder';
COMMENT ON COLUMN export_states.state IS 'see export_state(); of another state nothing follows but that it has to be looked at';
COMMENT ON COLUMN export_states.index_sha256 IS 'of index.jsonl there';
