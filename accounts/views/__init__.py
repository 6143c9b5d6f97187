"""The API of `accounts`."""
