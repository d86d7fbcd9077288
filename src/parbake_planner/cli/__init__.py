"""The commands about costs, plans and triggers."""
