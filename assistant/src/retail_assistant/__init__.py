"""A retail shopping assistant, built only on the public API of parbake."""
