"""Reply generators, one file per engine; all answer to :class:`parbake.ports.models.Generator`."""
