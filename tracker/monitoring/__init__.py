"""What outsiders and operators see of how the service does. Composition: no models."""
