"""Systems of record, one module per kind of database."""
