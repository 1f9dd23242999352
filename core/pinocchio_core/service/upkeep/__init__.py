"""What a server does beside its requests."""
