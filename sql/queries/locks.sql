-- Who holds what. The facts are put into words by steps/lock.py.

-- name: of_one
SELECT l.lock_id, s.external_id, l.task_type, l.locked_by, l.locked_at, l.expires_at,
       l.expires_at <= now() AS expired, now() AS now, t.state, t.task_key, t.ls_task_id, p.ls_project_id,
       t.claimed_by, t.opened_at, t.gone_at, t.skips, t.overlap,
       (SELECT c.conflict_id FROM conflicts c
         WHERE c.task_key = t.task_key AND c.status = 'open') AS conflict_id,
       (SELECT count(*) FROM annotations a
         WHERE a.task_key = t.task_key AND a.deleted_at IS NULL AND NOT a.was_cancelled) AS answers
  FROM locks l JOIN samples s USING (sample_id) LEFT JOIN tasks t ON t.task_key = l.task_key
  LEFT JOIN projects p USING (project_id)

-- name: held
WHERE l.released_at IS NULL
  AND (CAST(:task_type AS text) IS NULL OR l.task_type = :task_type OR l.task_type IS NULL)
ORDER BY l.locked_at, l.lock_id LIMIT CAST(:limit AS bigint)

-- name: stale
JOIN (SELECT e.lock_id FROM locks e WHERE e.released_at IS NULL AND e.expires_at <= now()
      UNION SELECT w.lock_id FROM tasks o JOIN locks w ON w.task_key = o.task_key AND w.released_at IS NULL
             WHERE o.state = 'open'
               AND o.opened_at < now() - CAST(:days AS double precision) * interval '1 day'
               AND NOT has_answers(o)
      UNION SELECT w.lock_id FROM tasks o JOIN locks w ON w.task_key = o.task_key AND w.released_at IS NULL
             WHERE o.state = 'claimed' AND o.claimed_at < now() - interval '1 hour'
      UNION SELECT w.lock_id FROM tasks o JOIN locks w ON w.task_key = o.task_key AND w.released_at IS NULL
             WHERE o.state = 'conflicted' AND o.gone_at IS NOT NULL
     ) looks_stale USING (lock_id)
WHERE CAST(:task_type AS text) IS NULL OR l.task_type = :task_type OR l.task_type IS NULL
ORDER BY l.locked_at, l.lock_id LIMIT CAST(:limit AS bigint)

-- name: counts
SELECT count(*) FILTER (WHERE l.task_key IS NOT NULL) AS bound,
       count(*) FILTER (WHERE l.expires_at > now()) AS elsewhere,
       count(*) FILTER (WHERE l.expires_at <= now()) AS expired
  FROM locks l
 WHERE l.released_at IS NULL
   AND (CAST(:task_type AS text) IS NULL OR l.task_type = :task_type OR l.task_type IS NULL);
