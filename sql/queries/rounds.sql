-- Rounds of `lsloop loop`, and how far the people are in one.

-- name: rounds
SELECT round_id, task_type, series, number, of_rounds, wanted, started_by, started_at, resumed, parts,
       ended_at
  FROM rounds
 WHERE (CAST(:round_id AS bigint) IS NULL OR round_id = :round_id)
   AND (CAST(:series AS bigint) IS NULL OR series = :series)
 ORDER BY round_id;

-- Since a round began: how many tasks were sent, besides how many probes, and how many answers were accepted,
-- to tasks of any round. Now: how many tasks wait for people, and how many of those for an adjudication that
-- was not sent yet.

-- name: progress
SELECT (SELECT count(*) FROM tasks t
         WHERE t.task_type = r.task_type AND t.claimed_at >= r.started_at AND NOT t.is_gold_probe
           AND t.adjudicates IS NULL
           AND t.state <> 'cancelled') AS sent,
       (SELECT count(*) FROM tasks t
         WHERE t.task_type = r.task_type AND t.claimed_at >= r.started_at AND t.is_gold_probe) AS probes,
       (SELECT count(*) FROM tasks t
         WHERE t.task_type = r.task_type AND NOT t.is_gold_probe AND t.adjudicates IS NULL
           AND t.state IN ('accepted', 'resolved') AND t.finished_at >= r.started_at) AS accepted,
       (SELECT count(*) FROM tasks t
         WHERE t.task_type = r.task_type AND NOT t.is_gold_probe AND t.adjudicates IS NULL
           AND t.is_live) AS open,
       (SELECT count(*) FROM tasks t JOIN samples s USING (sample_id)
         WHERE t.task_type = r.task_type AND t.waits_for = 'adjudication' AND s.deleted_at IS NULL
           AND NOT EXISTS (SELECT FROM tasks o WHERE o.adjudicates = t.task_key
                              AND o.is_live)) AS disputed
  FROM rounds r WHERE r.round_id = :round_id;

-- What the model proposed and what people made of it, for each answer to a task that was sent since a round
-- began.

-- name: answers
SELECT p.value AS shown, a.value AS given
  FROM rounds r
  JOIN tasks t
    ON t.task_type = r.task_type AND t.claimed_at >= r.started_at AND NOT t.is_gold_probe
   AND t.adjudicates IS NULL
  JOIN predictions p ON p.prediction_id = t.prediction_id
  JOIN annotations a
    ON a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled AND a.value IS NOT NULL
 WHERE r.round_id = :round_id
 ORDER BY a.annotation_id;
