"""A zoo of small real models, trained from seeds: concept adapters, trees of classifiers, trees of decoders."""
