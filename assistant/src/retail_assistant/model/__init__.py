"""What is a language model sent? A prefix that all prompts share, the conversation so far, and the question."""
