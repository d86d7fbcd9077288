"""Systems of record, one file per kind of database."""
