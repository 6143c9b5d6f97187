"""Facts as they were told, the signed legs they make, and telling that they changed."""
