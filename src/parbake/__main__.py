"""``python -m parbake``."""

from parbake.cli.main import main

main()
