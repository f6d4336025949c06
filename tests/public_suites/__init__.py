"""Public projects' own test suites on ``sockserve.socketserver``. See README.md beside this file."""
