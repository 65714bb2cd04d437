"""What an analysed program does with a value: where it comes from, under which names, and who reads it."""
