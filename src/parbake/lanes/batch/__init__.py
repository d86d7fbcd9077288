"""Run ahead: batch runs, from the choice of keys to the promotion of a generation."""
