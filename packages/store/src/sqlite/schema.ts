/** Version 2 keeps with each entry of the log whose it is, a journal, and of the settings what is for edges apart. */
export const storeFormat = 2;

export const storeSchema = `
  CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, id TEXT NOT NULL, revision INTEGER NOT NULL, due_at INTEGER, value TEXT NOT NULL,
    PRIMARY KEY (kind, id)
  );
  CREATE INDEX IF NOT EXISTS due ON records (kind, due_at) WHERE due_at IS NOT NULL;
  CREATE TABLE IF NOT EXISTS claims (claim TEXT PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS claims_of ON claims (kind, id);
  CREATE TABLE IF NOT EXISTS log (
    number INTEGER PRIMARY KEY, commit_id TEXT NOT NULL, previous TEXT NOT NULL, origin TEXT NOT NULL, changes TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS commit_ids (id TEXT PRIMARY KEY, number INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS journal (
    seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, epoch TEXT NOT NULL, number INTEGER NOT NULL, commit_id TEXT NOT NULL,
    origin TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS events (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at INTEGER NOT NULL, previous TEXT NOT NULL, event TEXT NOT NULL
  );
  CREATE INDEX IF NOT EXISTS commit_ids_at ON commit_ids (at);
`;
