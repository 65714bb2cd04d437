"""Files as text and syntax, and edits of them: nothing here knows what a program computes."""
