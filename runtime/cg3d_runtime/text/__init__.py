"""Words on the robot: tokens, phrasings, the bank of known names, and a text encoder's output."""
