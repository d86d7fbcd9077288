"""Reply generators, one module per engine; all implement :class:`parbake.ports.models.Generator`."""
