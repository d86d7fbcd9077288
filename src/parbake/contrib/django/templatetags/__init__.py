"""The tag library of templates."""
