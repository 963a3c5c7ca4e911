"""How well encoders name objects, with what robots do to clouds: one table, one command."""
