"""Chat turns: which may run, what they go through, who answers."""
