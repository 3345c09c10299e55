"""`python -m confostain.cli`."""

from confostain.cli import main

main()
