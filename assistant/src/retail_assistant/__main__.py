"""``python -m retail_assistant``."""

from retail_assistant.main import main

main()
