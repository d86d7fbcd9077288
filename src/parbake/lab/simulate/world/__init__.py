"""The state of one history: virtual time, the store's disk, the systems of record, and what processes are."""
