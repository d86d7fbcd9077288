"""Generates a manga and book shop: catalog, shoppers with tastes, their history, and their questions."""

from retail_assistant.world.build import generate
from retail_assistant.world.sizes import Size, estimate_size
from retail_assistant.world.texts.texts_read import questions

__all__ = ["Size", "estimate_size", "generate", "questions"]
