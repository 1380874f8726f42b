"""The command line: a thin translation of arguments into Specs and of results into tables or JSON lines."""
