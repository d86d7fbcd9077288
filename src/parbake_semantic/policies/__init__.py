"""When a match is good enough: thresholds with a bound on the share of wrong answers."""
