"""What requests say, and everything that can be wrong with them."""
