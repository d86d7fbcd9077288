"""How people put things: tables of cues, concepts, sayings, small talk and places."""
