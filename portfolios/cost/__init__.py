"""What things had cost: lots, what was given up of them, gains and incomes."""
