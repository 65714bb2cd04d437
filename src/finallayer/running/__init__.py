"""A user's program in a process of its own: seeded from outside, and measured without a change in it."""
