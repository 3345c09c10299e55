"""The instruments: torch networks. Know no files and no slides."""
