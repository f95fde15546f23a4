"""`python -m molehunt`."""

from molehunt.cli.app import main

main()
