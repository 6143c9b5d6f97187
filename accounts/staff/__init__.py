"""How staff come into the admin: password, second factor, and out again when they are idle."""
