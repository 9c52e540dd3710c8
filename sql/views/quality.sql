-- How good gold and annotators are. Means are of scores in order: a sum of floats depends on it, and a report
-- must not.

-- The 97.5 % quantile of Student's t (Abramowitz and Stegun 26.7.5; within 3 % from two degrees of freedom
-- on).
CREATE OR REPLACE FUNCTION t_quantile(p_freedom double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE AS $$
    SELECT 1.959964 + 2.372258 / p_freedom + 2.822512 / p_freedom ^ 2
           + 2.555860 / p_freedom ^ 3 + 1.589534 / p_freedom ^ 4
$$;

-- How many independent yes-or-no observations of a rate tell as much as these probes do (Korn and Graubard,
-- "Confidence intervals for proportions with small expected number of positive counts estimated from survey
-- data", Survey Methodology 24, 1998): words of one recording go wrong together, so they count for less than
-- their number. p_variance is that of the rate between probes; where it is none, p_floor; never more than
-- p_most.
CREATE OR REPLACE FUNCTION effective_number(
    p_rate double precision, p_variance double precision, p_probes bigint, p_floor double precision,
    p_most double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE BEGIN ATOMIC
    SELECT CASE WHEN p_probes < 2 THEN 1 ELSE
        CASE WHEN p_variance > 0 AND p_rate > 0 AND p_rate < 1
             THEN least(p_most, greatest(p_rate * (1 - p_rate) / p_variance, 1))
                  * (1.959964 / t_quantile(p_probes - 1)) ^ 2
             ELSE p_floor END END;
END;

-- The 95 % interval of a rate seen in p_number observations: Wilson's score interval ("Probable inference,
-- the law of succession, and statistical inference", Journal of the American Statistical Association 22,
-- 1927).
CREATE OR REPLACE FUNCTION rate_interval(p_rate double precision, p_number double precision)
RETURNS double precision[] LANGUAGE sql IMMUTABLE AS $$
    SELECT ARRAY[greatest(0, middle - half), least(1, middle + half)]
      FROM (SELECT (rate + 1.920730 / n) / (1 + 3.841459 / n) AS middle,
                   1.959964 * sqrt(rate * (1 - rate) / n + 0.960365 / n ^ 2) / (1 + 3.841459 / n) AS half
              FROM (SELECT least(greatest(p_rate, 0), 1) AS rate, nullif(p_number, 0) AS n) given) interval
$$;

-- The variance between probes of the ratio of two sums, errors to units (Cochran, "Sampling Techniques",
-- chapter 6).
CREATE OR REPLACE FUNCTION ratio_variance(
    p_probes bigint, p_errors double precision, p_words double precision, p_errors2 double precision,
    p_both double precision, p_words2 double precision
) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_probes > 1 AND p_words > 0 THEN p_probes / (p_probes - 1.0)
        * (p_errors2 - 2 * rate * p_both + rate * rate * p_words2) / (p_words * p_words) END
      FROM (SELECT p_errors / nullif(p_words, 0) AS rate) given
$$;

-- A row per annotator and task type: n probes, the mean agreement with their references, and between which
-- bounds it lies with 95 % confidence; errors of total in the unit of the task type, and their rate with its
-- bounds; the columns that speak of words are filled where the unit is words. Expected is how sure whoever
-- set the references was of them, on average; completed, of the probes that the annotator answered or
-- skipped, the percentage that they answered. Neither says how right they were: that is the mean.
CREATE OR REPLACE VIEW v_annotator_accuracy AS
WITH scored AS (
    SELECT g.annotator, g.task_type, g.score, g.submitted_at, s.gold_score, of_unit AS unit,
           -- What a template counted in before it was changed is no part of the sums.
           CASE WHEN g.unit = of_unit THEN g.errors END AS errors,
           CASE WHEN g.unit = of_unit THEN g.total END AS total
      FROM (SELECT *, first_value(unit) OVER (PARTITION BY annotator, task_type
                                              ORDER BY unit IS NULL, submitted_at DESC,
                                                       annotation_id DESC) AS of_unit
              FROM current_gold_scores()) g
      JOIN gold_standards s USING (gold_id)),
sums AS (
    SELECT annotator, task_type, unit, count(*) AS n, avg(score ORDER BY score) AS mean,
           var_samp(score ORDER BY score) / count(*) AS mean_variance, count(total) AS counted,
           sum(errors) AS errors, sum(total) AS total,
           sum(errors)::double precision / nullif(sum(total), 0) AS rate,
           sum(errors::double precision ^ 2) AS errors2, sum(errors::double precision * total) AS both_,
           sum(total::double precision ^ 2) AS total2, max(submitted_at) AS last_probe_at,
           avg(gold_score) AS expected
      FROM scored GROUP BY 1, 2, 3),
bounded AS (
    SELECT *,
           rate_interval(mean, effective_number(
               mean, mean_variance, n, n,
               CASE WHEN total IS NULL THEN 'infinity'::double precision
                    ELSE greatest(total, n) END)) AS bounds,
           -- Characters and milliseconds that lie together go wrong together: a probe of them is one
           -- observation.
           rate_interval(rate, effective_number(
               rate, variance, counted,
               CASE WHEN unit IN ('characters', 'milliseconds') THEN counted ELSE total END, total)) AS rates
      FROM sums, ratio_variance(counted, errors, total, errors2, both_, total2) variance),
rated AS (
    SELECT *, CASE WHEN total > 0 THEN rates[1] END AS rate_low,
           -- What nobody said is an error, too, so there may be more errors than units: that is no rate of
           -- yes and no.
           CASE WHEN rate <= 1 THEN rates[2]
                WHEN total > 0
                THEN rate + CASE WHEN counted > 1 THEN t_quantile(counted - 1) * sqrt(greatest(variance, 0))
                                 ELSE 0 END
           END AS rate_high
      FROM bounded)
SELECT annotator, task_type, n, mean, bounds[1] AS low, bounds[2] AS high, errors,
       CASE unit WHEN 'words' THEN total END AS words,
       CASE unit WHEN 'words' THEN rate END AS word_error_rate,
       CASE unit WHEN 'words' THEN rate_low END AS word_error_low,
       CASE unit WHEN 'words' THEN rate_high END AS word_error_high,
       last_probe_at, n AS total_gold_annotations, expected AS avg_expected_score,
       (SELECT round(100.0 * count(*) FILTER (WHERE NOT a.was_cancelled) / nullif(count(*), 0), 1)
          FROM annotations a JOIN tasks t USING (task_key)
         WHERE t.is_gold_probe AND a.annotator = rated.annotator AND t.task_type = rated.task_type
           AND a.deleted_at IS NULL) AS completion_rate,
       unit, total, rate AS error_rate, rate_low AS error_low, rate_high AS error_high
  FROM rated;

-- Every gold sample, with what annotators made of it.
CREATE OR REPLACE VIEW v_gold_standard_samples AS
SELECT s.sample_id, s.source, s.external_id, g.reference, g.gold_score, g.set_by, g.set_at,
       EXISTS (SELECT FROM jsonb_each_text(s.field_versions) v
                WHERE v.value::integer > g.sync_version AND NOT g.reference ? v.key) AS changed_since_set,
       coalesce(t.probes, 0) AS probes, coalesce(x.answers, 0) AS answers, x.mean
  FROM samples s JOIN gold_standards g ON g.sample_id = s.sample_id AND g.unset_at IS NULL
  LEFT JOIN (SELECT sample_id, count(*) AS probes FROM tasks WHERE is_gold_probe AND state <> 'cancelled'
              GROUP BY 1) t
         ON t.sample_id = s.sample_id
  LEFT JOIN (SELECT gold_id, count(*) AS answers, avg(score ORDER BY score) AS mean FROM current_gold_scores()
              GROUP BY 1) x USING (gold_id)
 WHERE s.is_gold_standard AND s.deleted_at IS NULL;
