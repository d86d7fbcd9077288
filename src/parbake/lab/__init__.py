"""Does it keep its word? What looks at the product from outside; nothing of the product imports it."""
