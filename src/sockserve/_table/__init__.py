"""The table of partially finished requests, and what parks in it."""
