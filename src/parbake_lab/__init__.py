"""Does an app keep its word? An audit of a running server, and a shadow that compares it with another cache."""
