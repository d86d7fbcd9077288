"""Serving: the single path that every request and every derived input takes."""
