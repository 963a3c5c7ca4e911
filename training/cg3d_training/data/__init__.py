"""Where training data comes from: vocabularies, named objects, augmentation."""
