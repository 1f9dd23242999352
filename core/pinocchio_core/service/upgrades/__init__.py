"""Other versions of plugins: what they would break, and configs carried over to them."""
