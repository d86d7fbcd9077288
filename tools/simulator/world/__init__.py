"""The state of one history: virtual time, the store's disk, the systems of record, and the tasks of the program."""
