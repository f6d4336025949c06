"""The accept loop and what it is made of."""
