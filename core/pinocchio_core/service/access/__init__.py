"""Who may do what: tokens, and where requests may come from."""
