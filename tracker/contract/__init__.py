"""What the schema says beyond shapes: which errors an operation can give, and real examples."""
