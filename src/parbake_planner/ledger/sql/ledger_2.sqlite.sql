-- Format 2 of the ledger, for SQLite. Each column has a line of its own, and each statement ends at the end of a line.
CREATE TABLE IF NOT EXISTS spending(
  ts REAL,
  kind TEXT,
  task TEXT,
  key BLOB,
  lane TEXT,
  outcome TEXT,
  seconds REAL,
  cpu_s REAL,
  rows INTEGER,
  bytes INTEGER,
  model TEXT,
  input INTEGER,
  output INTEGER,
  cached INTEGER,
  trigger TEXT,
  plan TEXT,
  p_hat REAL,
  theta REAL,
  written INTEGER NOT NULL DEFAULT 0,
  written_hour INTEGER NOT NULL DEFAULT 0,
  reasoning INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS hourly(
  hour INTEGER,
  kind TEXT,
  task TEXT,
  lane TEXT,
  model TEXT,
  calls INTEGER,
  seconds REAL,
  cpu_s REAL,
  rows INTEGER,
  bytes INTEGER,
  input INTEGER,
  output INTEGER,
  cached INTEGER,
  written INTEGER NOT NULL DEFAULT 0,
  written_hour INTEGER NOT NULL DEFAULT 0,
  reasoning INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(hour, kind, task, lane, model)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS serves(
  minute INTEGER,
  task TEXT,
  key BLOB,
  count INTEGER,
  ahead INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(minute, task, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pace(
  hour INTEGER,
  batch INTEGER,
  samples INTEGER,
  seconds REAL,
  PRIMARY KEY(hour, batch)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers(
  id TEXT,
  at REAL,
  document BLOB,
  complained_at REAL,
  PRIMARY KEY(id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS complaints(
  at REAL,
  task TEXT,
  answer TEXT
);
CREATE TABLE IF NOT EXISTS told(
  number INTEGER,
  answer TEXT,
  recipient TEXT,
  incarnation INTEGER,
  tags BLOB,
  PRIMARY KEY(number)
);
CREATE TABLE IF NOT EXISTS told_tags(
  tag INTEGER,
  sequence INTEGER,
  number INTEGER,
  span INTEGER,
  PRIMARY KEY(tag, sequence, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS prompts(
  ts REAL,
  prefix TEXT,
  generator TEXT,
  session BLOB,
  digest TEXT,
  prefix_tokens INTEGER,
  stable_tokens INTEGER,
  tokens INTEGER
);
CREATE TABLE IF NOT EXISTS writers(
  id TEXT,
  batch INTEGER,
  at REAL,
  PRIMARY KEY(id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS spending_task ON spending(task, ts);
CREATE INDEX IF NOT EXISTS serves_task ON serves(task, minute);
CREATE INDEX IF NOT EXISTS answers_at ON answers(at);
CREATE INDEX IF NOT EXISTS complaints_at ON complaints(at);
CREATE INDEX IF NOT EXISTS prompts_prefix ON prompts(prefix, ts);
CREATE TABLE IF NOT EXISTS ledger_format(
  version INTEGER
);
INSERT INTO ledger_format SELECT 2 WHERE NOT EXISTS (SELECT 1 FROM ledger_format);
