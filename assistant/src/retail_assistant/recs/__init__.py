"""The recommendations domain: factors, preferences, candidates, trending, and the reranking at request time.

``tasks`` declares; ``als``, ``trends``, ``features``, ``context`` and ``rerank`` hold the maths; ``views`` reads the
shop ahead of time, ``shelf`` at request time; ``words`` and ``texts`` read what the shopper said; ``training`` learns
the reranker, and measures on a held-out week.
"""
