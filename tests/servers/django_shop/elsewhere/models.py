"""What is kept there."""

from django.db import models


class Thing(models.Model):
    """Something."""
