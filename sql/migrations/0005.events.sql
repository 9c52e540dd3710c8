-- Events: what Label Studio told, stored before it is answered; which address it was given for that.
-- depends: 0004.export

CREATE TABLE events (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_path text NOT NULL,
    action text NOT NULL,
    payload jsonb NOT NULL CHECK (jsonb_typeof(payload) = 'object'),
    digest text NOT NULL,
    is_fresh boolean NOT NULL DEFAULT true,
    deliveries integer NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'stored' CHECK (state IN ('stored', 'done', 'ignored', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_try_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    error text,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
COMMENT ON TABLE events IS 'deliveries of Label Studio: each says no more than which tasks to look at';
COMMENT ON COLUMN events.payload IS 'as received, without the secrets of the project';
COMMENT ON COLUMN events.digest IS 'of the body: the same one again, while nobody has looked, is counted and not stored';
COMMENT ON COLUMN events.is_fresh IS 'nobody has looked yet';
COMMENT ON COLUMN events.state IS 'failed: given up after many attempts, until somebody has it tried again';
CREATE UNIQUE INDEX one_fresh_event ON events (digest) WHERE is_fresh;
CREATE INDEX events_due ON events (next_try_at) WHERE state = 'stored';
CREATE INDEX events_failed ON events (event_id) WHERE state = 'failed';
CREATE INDEX events_settled ON events (finished_at) WHERE state IN ('done', 'ignored');

ALTER TABLE projects ADD webhook_url text;
COMMENT ON COLUMN projects.webhook_url IS 'where Label Studio was last asked to send events of this project; NULL: nowhere';
