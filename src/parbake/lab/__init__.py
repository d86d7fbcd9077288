"""Tools that check the product's promises from outside. The product itself does not import them."""
