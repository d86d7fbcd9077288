"""A team's own shop: from CSV, Parquet or JSON in a documented schema to the shop's tables, with a report."""
