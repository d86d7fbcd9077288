"""What the shop has by name: its words, titles, genres and authors, and how they are spelled."""
