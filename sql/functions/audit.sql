-- Audit: who did what to which thing, and why; append only.

CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: append only, % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

-- Ends the transaction with what is wrong and what to do instead.
CREATE OR REPLACE FUNCTION refuse(p_problem text, p_fix text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', upper(left(p_problem, 1)) || substr(p_problem, 2) USING HINT = p_fix;
END $$;

CREATE OR REPLACE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE FUNCTION write_audit(p_actor text, p_action text, p_about text, p_reason text,
                                       p_detail jsonb DEFAULT '{}')
RETURNS void LANGUAGE sql AS $$
    INSERT INTO audit (actor, action, about, reason, detail)
    VALUES (p_actor, p_action, p_about, p_reason, p_detail)
$$;
