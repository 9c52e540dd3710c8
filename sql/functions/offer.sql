-- Offered again: a task of which somebody said nothing needs one annotator more in Label Studio than it was
-- sent for.

-- Tasks for which Label Studio is to be told another number of annotators. Whoever said nothing is not asked
-- a second time by Label Studio, but can mend the answer; somebody else is asked meanwhile.
CREATE OR REPLACE FUNCTION tasks_to_offer(p_project_id integer)
RETURNS TABLE (task_key uuid, ls_task_id bigint, wanted integer) LANGUAGE sql STABLE AS $$
    SELECT * FROM (
        SELECT t.task_key, t.ls_task_id, t.overlap + (
                   SELECT count(DISTINCT a.annotator)::integer FROM annotations a
                    WHERE a.task_key = t.task_key AND a.ls_task_id = t.ls_task_id AND a.deleted_at IS NULL
                      AND (a.says_nothing OR review_of(a) = 'rejected')
                      AND NOT a.was_cancelled) AS wanted
          FROM (SELECT a.task_key FROM annotations a WHERE a.says_nothing AND a.deleted_at IS NULL
                UNION SELECT a.task_key FROM annotations a WHERE a.review = 'rejected'
                UNION SELECT o.task_key FROM tasks o
                       WHERE o.project_id = p_project_id AND o.ls_overlap IS NOT NULL) k
          JOIN tasks t USING (task_key)
         WHERE t.project_id = p_project_id AND t.gone_at IS NULL AND t.ls_task_id IS NOT NULL
           AND (t.state IN ('open', 'annotated')
                OR t.ls_overlap IS NOT NULL AND t.state NOT IN ('claimed', 'cancelled'))) w
     WHERE wanted <> (SELECT coalesce(t.ls_overlap, t.overlap) FROM tasks t WHERE t.task_key = w.task_key)
     ORDER BY ls_task_id
$$;

-- Label Studio was told so.
CREATE OR REPLACE FUNCTION task_offered(p_task_key uuid, p_wanted integer) RETURNS void LANGUAGE sql AS $$
    UPDATE tasks SET ls_overlap = nullif(p_wanted, overlap) WHERE task_key = p_task_key
$$;
