"""The judge of a history: the oracle, which checks what is served, and the invariants of the store."""
