"""The conversation: understanding a message, finding evidence, answering, and checking what leaves."""
