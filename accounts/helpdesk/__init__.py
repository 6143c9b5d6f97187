"""Support requests: what people ask, what staff answer, and how long that took."""
