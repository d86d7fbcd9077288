"""Mistakes that are planted in the product, to see that the simulation finds them."""
