"""How tasks are run ahead of requests: ingestion of events, the event lane, the batch lane, its schedule, the watch."""
