"""The question bank: compiled answers, found by meaning under a promised bound of errors."""
