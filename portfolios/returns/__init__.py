"""How a value developed: daily valuations, returns, risk, and why it changed."""
