"""Generates a manga and book shop: catalog, shoppers with tastes, their history, and what they asked."""

from retail_assistant.shop.world.build import generate
from retail_assistant.shop.world.messages import QUESTIONS
from retail_assistant.shop.world.sizes import Size, estimate_size

__all__ = ["QUESTIONS", "Size", "estimate_size", "generate"]
