"""What a person enters themselves: entries, prices, and the file of all of it."""
