"""Runs tasks ahead of requests: ingestion of events, the event lane, the batch lane, its schedule and the SLA watch."""
