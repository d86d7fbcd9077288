"""What the adapters of PostgreSQL are made of: the outbox of a source, and the items of a store."""
