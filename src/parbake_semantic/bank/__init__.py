"""The question bank: compiled answers, found by meaning, with a bound on the share of errors."""
