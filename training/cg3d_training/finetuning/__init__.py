"""Fine-tuning for classification, and what is reported of it."""
