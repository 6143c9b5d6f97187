"""dj-stripe's tables, whose schema we keep: see `migrations`."""
