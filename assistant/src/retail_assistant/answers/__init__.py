"""From a question to the facts that answer it, and to sentences: one module per kind of question."""
