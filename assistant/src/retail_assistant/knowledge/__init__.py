"""What the shop states: evidence blocks, product embeddings, promotions and review summaries, all precomputed."""
