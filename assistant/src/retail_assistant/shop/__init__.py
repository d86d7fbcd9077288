"""The demo shop's system of record: one SQLite file with a transactional outbox.

``schema`` opens the file, ``queries`` reads it, ``records`` writes it, ``policies`` renders policy text,
:mod:`retail_assistant.world` fills a new file with a generated shop.
"""
