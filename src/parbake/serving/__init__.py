"""The one path that every request and every derived input takes."""
