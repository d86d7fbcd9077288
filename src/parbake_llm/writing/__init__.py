"""How is a prompt written? The same bytes each time, breakpoints, and what keeps it out of a cache."""
