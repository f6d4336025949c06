"""What is copied into the environment of a suite, as the package ``sockserve_public_suite``, and runs there."""
