"""What is known about people, and what becomes of it: inventory, export, erasure, retention."""
