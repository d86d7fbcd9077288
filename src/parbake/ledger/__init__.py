"""What everything cost: rows of what was computed, missed, spent and wasted, and their sums by the hour."""
