"""Reply generators, one file per engine; all answer to :class:`parbake.model_ports.Generator`."""
