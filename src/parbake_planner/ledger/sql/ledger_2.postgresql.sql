-- Format 2 of the ledger, for PostgreSQL. Each column has a line of its own, and each statement ends at the end of a line.
-- The collation orders texts as SQLite does. The role needs no right to create the schema if it exists.
DO $$ BEGIN IF to_regnamespace('parbake_ledger') IS NULL THEN CREATE SCHEMA parbake_ledger; END IF; END $$;
CREATE TABLE IF NOT EXISTS spending(
  ts DOUBLE PRECISION,
  kind TEXT COLLATE "C",
  task TEXT COLLATE "C",
  key BYTEA,
  lane TEXT COLLATE "C",
  outcome TEXT COLLATE "C",
  seconds DOUBLE PRECISION,
  cpu_s DOUBLE PRECISION,
  rows BIGINT,
  bytes BIGINT,
  model TEXT COLLATE "C",
  input BIGINT,
  output BIGINT,
  cached BIGINT,
  trigger TEXT COLLATE "C",
  plan TEXT COLLATE "C",
  p_hat DOUBLE PRECISION,
  theta DOUBLE PRECISION,
  written BIGINT NOT NULL DEFAULT 0,
  written_hour BIGINT NOT NULL DEFAULT 0,
  reasoning BIGINT NOT NULL DEFAULT 0,
  rowid BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS hourly(
  hour BIGINT,
  kind TEXT COLLATE "C",
  task TEXT COLLATE "C",
  lane TEXT COLLATE "C",
  model TEXT COLLATE "C",
  calls BIGINT,
  seconds DOUBLE PRECISION,
  cpu_s DOUBLE PRECISION,
  rows BIGINT,
  bytes BIGINT,
  input BIGINT,
  output BIGINT,
  cached BIGINT,
  written BIGINT NOT NULL DEFAULT 0,
  written_hour BIGINT NOT NULL DEFAULT 0,
  reasoning BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY(hour, kind, task, lane, model)
);
CREATE TABLE IF NOT EXISTS serves(
  minute BIGINT,
  task TEXT COLLATE "C",
  key BYTEA,
  count BIGINT,
  ahead BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY(minute, task, key)
);
CREATE TABLE IF NOT EXISTS pace(
  hour BIGINT,
  batch BIGINT,
  samples BIGINT,
  seconds DOUBLE PRECISION,
  PRIMARY KEY(hour, batch)
);
CREATE TABLE IF NOT EXISTS answers(
  id TEXT COLLATE "C",
  at DOUBLE PRECISION,
  document BYTEA,
  complained_at DOUBLE PRECISION,
  PRIMARY KEY(id)
);
CREATE TABLE IF NOT EXISTS complaints(
  at DOUBLE PRECISION,
  task TEXT COLLATE "C",
  answer TEXT COLLATE "C"
);
CREATE TABLE IF NOT EXISTS told(
  number BIGINT,
  answer TEXT COLLATE "C",
  recipient TEXT COLLATE "C",
  incarnation BIGINT,
  tags BYTEA,
  PRIMARY KEY(number)
);
CREATE TABLE IF NOT EXISTS told_tags(
  tag BIGINT,
  sequence BIGINT,
  number BIGINT,
  span BIGINT,
  PRIMARY KEY(tag, sequence, number)
);
CREATE TABLE IF NOT EXISTS prompts(
  ts DOUBLE PRECISION,
  prefix TEXT COLLATE "C",
  generator TEXT COLLATE "C",
  session BYTEA,
  digest TEXT COLLATE "C",
  prefix_tokens BIGINT,
  stable_tokens BIGINT,
  tokens BIGINT,
  rowid BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS writers(
  id TEXT COLLATE "C",
  batch BIGINT,
  at DOUBLE PRECISION,
  PRIMARY KEY(id)
);
CREATE INDEX IF NOT EXISTS spending_task ON spending(task, ts);
CREATE INDEX IF NOT EXISTS serves_task ON serves(task, minute);
CREATE INDEX IF NOT EXISTS answers_at ON answers(at);
CREATE INDEX IF NOT EXISTS complaints_at ON complaints(at);
CREATE INDEX IF NOT EXISTS prompts_prefix ON prompts(prefix, ts);
CREATE TABLE IF NOT EXISTS ledger_format(
  version BIGINT
);
INSERT INTO ledger_format SELECT 2 WHERE NOT EXISTS (SELECT 1 FROM ledger_format);
