-- The ledger has a schema of its own: ledger/home.py moves it there before migrations run. An older lsloop
-- does not know this name, and so refuses the ledger; it would install its functions in the old schema.
-- depends: 0040.stand_ins

COMMENT ON TABLE schema_code IS 'the digest of the functions and views installed last, in this schema';
