"""What the operator tells of itself to those who watch over it."""
