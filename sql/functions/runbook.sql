-- Columns under the names that runbooks ask for. PostgreSQL reads `a.status` of a row `a` without such a
-- column as status(a).

CREATE OR REPLACE FUNCTION sample_id(a annotations) RETURNS uuid LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT t.sample_id FROM tasks t WHERE t.task_key = a.task_key;
END;

CREATE OR REPLACE FUNCTION task_type(a annotations) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT t.task_type FROM tasks t WHERE t.task_key = a.task_key;
END;

-- pending: submitted, and its task waits for others or for a decision; in_progress: skipped so far, and its
-- task is open.
CREATE OR REPLACE FUNCTION status(a annotations) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC
    SELECT CASE WHEN a.deleted_at IS NOT NULL THEN 'deleted'
                WHEN t.state IN ('open', 'annotated') AND a.was_cancelled THEN 'in_progress'
                WHEN a.was_cancelled THEN 'skipped'
                WHEN t.state IN ('open', 'annotated', 'conflicted') THEN 'pending'
                WHEN a.superseded_at IS NOT NULL OR a.problem IS NOT NULL THEN 'rejected'
                ELSE 'completed' END
      FROM tasks t WHERE t.task_key = a.task_key;
END;

-- annotations.conflict_detected: a conflict about the answer is open.
CREATE OR REPLACE FUNCTION detect_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE annotations a SET conflict_detected = NOT a.conflict_detected
     WHERE a.annotation_id IN (OLD.annotation_id, NEW.annotation_id)
       AND a.conflict_detected
           <> EXISTS (SELECT FROM conflicts c WHERE c.annotation_id = a.annotation_id AND c.status = 'open');
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER detect_conflict AFTER INSERT OR UPDATE OF status, annotation_id ON conflicts
    FOR EACH ROW
    EXECUTE FUNCTION detect_conflict();
