"""The ledger: rows for computations, misses, tokens and waste, their hourly sums, and their costs."""
