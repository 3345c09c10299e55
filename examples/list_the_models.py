"""Lists the models for a task with what their cards say: python list_the_models.py."""

import confostain

for card in confostain.list_models("stain"):
    print(card.name, card.kind, card.receptive_field, card.microns_per_pixel, *card.allowed_precisions)
    for failure in card.failures:
        print("  fails:", failure)
