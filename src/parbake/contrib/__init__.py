"""How is it used inside of another framework? A room for each."""
