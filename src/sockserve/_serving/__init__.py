"""What a `Server` is made of."""
