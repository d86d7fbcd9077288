"""The recommendations domain: factors, preferences, candidates, trending, and the reranking at request time.

``tasks`` declares; ``als``, ``trends``, ``features`` and ``rerank`` hold the maths; ``views`` reads the shop ahead of
time, ``shelf`` at request time; ``words`` reads what the shopper said; ``evaluate`` measures on a held-out week.
"""
