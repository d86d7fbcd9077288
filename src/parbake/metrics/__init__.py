"""How metrics leave the process."""
