"""Attacks that take too long for the suite: commands, each of which says what it did and what came of it."""
