"""What the generated shop says: names, policies, questions, reviews, and the patterns that they are made of."""
