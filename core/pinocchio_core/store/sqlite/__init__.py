"""The open database file: its connections and locks, who else writes it, and what its failures mean."""
