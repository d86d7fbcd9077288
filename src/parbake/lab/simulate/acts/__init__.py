"""What happens in a history: clients and operators act, faults strike, and the disk damages records."""
