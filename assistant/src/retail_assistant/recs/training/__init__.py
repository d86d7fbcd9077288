"""Learns the reranker from the log, and judges it: examples, fitting, gating before promotion, and evaluation."""
