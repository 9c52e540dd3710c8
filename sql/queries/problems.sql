-- name: listed
SELECT v.*, count(*) OVER () AS total FROM v_problems v
 WHERE (CAST(:task_type AS text) IS NULL OR task_type IN (:task_type, ''))
   AND (CAST(:annotator AS text) IS NULL OR annotator = :annotator)
   AND (CAST(:sample AS text) IS NULL OR external_id = :sample OR CAST(sample_id AS text) = :sample
        OR subject = 'sample' AND key = :sample)
   AND (CAST(:step AS text) IS NULL OR step = :step)
 ORDER BY last_seen DESC, step, key LIMIT CAST(:limit AS integer);

-- name: counts
SELECT step, count(*) AS number FROM v_problems GROUP BY step ORDER BY step;
