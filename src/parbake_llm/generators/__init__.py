"""Reply generators, one module per engine; all implement :class:`parbake_llm.ports.generator.Generator`."""
