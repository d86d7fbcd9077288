"""Which models are there."""


class Router:
    """Sends what belongs to the other database there."""

    def db_for_write(self, model, **_):
        """Return the database of a model."""
        return "elsewhere" if model._meta.app_label == "elsewhere" else None
