"""The batch interfaces of providers: many requests in one job, answered within hours, for about half the price."""
