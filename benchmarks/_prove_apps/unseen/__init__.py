"""Apps and omissions by people who had not read ``parbake prove``; what was mended with is spent."""
