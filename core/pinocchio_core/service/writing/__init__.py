"""Changes of profiles: planned, made in one transaction, and what came of them."""
