"""What everything cost: rows for computations, misses, tokens and waste, and their hourly sums."""
