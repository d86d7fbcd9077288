"""When is a match good enough? Thresholds with a bound on the share of wrong answers."""
