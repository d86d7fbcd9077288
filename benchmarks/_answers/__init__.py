"""Replays written conversations against a server, and judges each reply by its rubric."""
