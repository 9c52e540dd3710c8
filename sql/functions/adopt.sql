-- Tasks that were sent by this ledger before it was put back to an older state: Label Studio has them, with
-- our keys, and people answer them.

-- Which of these tasks are of samples of ours and unknown here. What each showed is not known any more: of
-- fields that never changed it is what they are, and of the others nothing is taken for granted, so that an
-- answer that upstream moved under is a conflict. Where another task is at work on the sample, one is
-- needless: it is ended, and an answer to it is heard.
CREATE OR REPLACE FUNCTION adopt_tasks(
    p_project_id integer, p_task_type text, p_keys uuid[], p_sample_ids uuid[], p_ls_task_ids bigint[],
    p_reads text[], p_writes text[], p_overlap integer
) RETURNS SETOF uuid LANGUAGE plpgsql AS $$
DECLARE
    v_names text[] := p_reads || p_writes;
    v_adopted uuid[];
    v_open uuid[];
BEGIN
    PERFORM 1 FROM samples WHERE sample_id = ANY (p_sample_ids) ORDER BY sample_id FOR UPDATE;
    WITH told AS (
        SELECT DISTINCT ON (task_key) *
          FROM unnest(p_keys, p_sample_ids, p_ls_task_ids) n(task_key, sample_id, ls_task_id)
         ORDER BY task_key, ls_task_id),
    adopted AS (
        INSERT INTO tasks (task_key, sample_id, task_type, project_id, sync_version, reads, writes, base,
                           is_gold_probe, overlap, claimed_by, sent_at, sends, state)
        SELECT n.task_key, s.sample_id, p_task_type, p_project_id, 1, p_reads, p_writes,
               snapshot(s, v_names) || jsonb_build_object(
                   'fields', only_fields(s.fields - ARRAY(SELECT jsonb_object_keys(s.field_versions)),
                                         v_names),
                   'media_md5', CASE WHEN NOT s.field_versions ? 'media' THEN s.media_md5 END),
               s.is_gold_standard, p_overlap, 'found in Label Studio', now(), 1,
               CASE WHEN row_number() OVER (PARTITION BY s.sample_id ORDER BY n.ls_task_id) > 1 OR EXISTS (
                        SELECT FROM tasks o WHERE o.sample_id = s.sample_id AND o.task_type = p_task_type
                           AND o.is_live AND NOT o.is_gold_probe
                           AND o.adjudicates IS NULL) AND NOT s.is_gold_standard
                    THEN 'cancelled' ELSE 'claimed' END
          FROM told n JOIN samples s USING (sample_id)
        ON CONFLICT DO NOTHING RETURNING task_key, state)
    SELECT array_agg(task_key), array_agg(task_key) FILTER (WHERE state = 'claimed') INTO v_adopted, v_open
      FROM adopted;
    PERFORM lock_claimed(v_open);
    PERFORM open_tasks(p_project_id, v_open, ARRAY(
        SELECT p_ls_task_ids[array_position(p_keys, task_key)]
          FROM unnest(v_open) WITH ORDINALITY k(task_key, place) ORDER BY place));
    UPDATE tasks SET finished_at = now() WHERE task_key = ANY (v_adopted) AND state = 'cancelled';
    RETURN QUERY SELECT unnest(v_adopted);
END $$;
