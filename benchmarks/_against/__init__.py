"""Sides of a comparison of revisions, the scripts that each runs, and the rounds in which they alternate."""
