"""What a question says: normalized text, what must not be served from a cache, and whom an answer is for."""
