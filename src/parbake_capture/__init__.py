"""Which changes are told by themselves? Triggers that fill the outbox of a database, whoever writes to it."""
