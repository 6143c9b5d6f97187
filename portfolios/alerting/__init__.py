"""Price alerts: what people want to be told of, found as prices move, and told once."""
