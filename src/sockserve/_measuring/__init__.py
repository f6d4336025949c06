"""What is measured of a server while somebody wants to know, and where it is counted."""
