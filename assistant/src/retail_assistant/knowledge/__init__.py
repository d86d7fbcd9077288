"""The shop's knowledge: evidence blocks, product embeddings, promotions and review summaries, all precomputed."""
