"""Files of events: CSV and JSON lines, read in constant memory and taken up where an earlier run ended."""
