"""From a message to what it asks for: one vocabulary, one parser, and one typed question per thing that is asked."""
