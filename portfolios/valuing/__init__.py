"""What things are worth: prices at any instant, the portfolio now, and as it was shown."""
