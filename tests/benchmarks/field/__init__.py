"""The field: sockserve and its peers side by side, under the same loads, in one run. Programs, not tests."""
