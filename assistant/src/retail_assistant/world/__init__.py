"""Generates a manga and book shop: catalog, shoppers with tastes, their history, and their questions."""

from retail_assistant.world.build import generate
from retail_assistant.world.messages import QUESTIONS
from retail_assistant.world.sizes import Size, estimate_size

__all__ = ["QUESTIONS", "Size", "estimate_size", "generate"]
