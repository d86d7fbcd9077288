"""The tables of a small shop."""

from django.db import models


class Topic(models.Model):
    """What policies are about; its policies go with it."""

    name = models.CharField(max_length=50)


class Policy(models.Model):
    """A policy of the shop."""

    slug = models.SlugField(unique=True)
    days = models.IntegerField(default=30)
    topic = models.ForeignKey(Topic, null=True, on_delete=models.CASCADE)


class Note(models.Model):
    """Something that nobody captures."""

    text = models.TextField()


class Special(Topic):
    """A topic with a table of its own beside that of its parent."""

    at = models.DateTimeField(null=True)
