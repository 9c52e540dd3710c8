-- Annotators: what they did, how right they were, and how far they agree with each other.

-- name: annotators
SELECT w.annotator, w.task_type, w.answered, w.gold, w.gold::double precision / w.answered AS gold_rate,
       coalesce(v.n, 0) AS n, v.mean, v.low, v.high, v.errors, v.words, v.word_error_rate, v.word_error_low,
       v.word_error_high, v.unit, v.total, v.error_rate, v.error_low, v.error_high, v.last_probe_at,
       q.began_at AS quarantined_at, q.score AS quarantine_score, q.floor AS quarantine_floor,
       q.since AS held_since,
       CASE WHEN q.quarantine_id IS NOT NULL THEN (
           SELECT count(DISTINCT a.task_key) FROM annotations a JOIN tasks t USING (task_key)
            WHERE speaker(a) = w.annotator AND t.task_type = w.task_type AND a.deleted_at IS NULL
              AND NOT t.is_gold_probe AND NOT a.was_cancelled AND t.waits_for = 'review'
              AND waits_for_review(a, t.task_type)) END AS held
  FROM (SELECT speaker(a) AS annotator, t.task_type, count(DISTINCT a.task_key) AS answered,
               count(DISTINCT a.task_key) FILTER (WHERE t.is_gold_probe) AS gold
          FROM annotations a JOIN tasks t USING (task_key)
         WHERE a.deleted_at IS NULL AND NOT a.says_nothing
           AND (CAST(:task_type AS text) IS NULL OR t.task_type = :task_type)
         GROUP BY 1, 2) w
  LEFT JOIN v_annotator_accuracy v USING (annotator, task_type)
  LEFT JOIN quarantines q ON q.annotator = w.annotator AND q.task_type = w.task_type AND q.lifted_at IS NULL
 ORDER BY w.task_type, v.mean DESC NULLS LAST, w.annotator;

-- name: agreement
SELECT t.task_type, count(*) AS tasks, avg(c.agreement ORDER BY c.agreement) AS agreement,
       count(*) FILTER (WHERE c.agreement < c.threshold) AS below,
       count(*) FILTER (WHERE t.waits_for = 'adjudication') AS waiting
  FROM consensus c JOIN tasks t USING (task_key)
 WHERE CAST(:task_type AS text) IS NULL OR t.task_type = :task_type
 GROUP BY 1 ORDER BY 1;

-- What was ticked and rated beside the answers, and how often together.
-- name: remarks
SELECT t.task_type, c.remarks, count(*) AS times
  FROM consensus c JOIN tasks t USING (task_key)
 WHERE CAST(:task_type AS text) IS NULL OR t.task_type = :task_type
 GROUP BY 1, 2 ORDER BY 1, 2;

-- What an annotator answered and nobody has looked at yet, the oldest first.
-- name: held
SELECT t.task_type, s.external_id, j.ls_project_id, a.ls_task_id, a.ls_annotation_id,
       a.ls_updated_at AS submitted_at, a.value
  FROM held_answers(:annotator, :task_type) a JOIN tasks t USING (task_key) JOIN samples s USING (sample_id)
  JOIN projects j USING (project_id)
 ORDER BY a.ls_updated_at, a.ls_annotation_id;
