"""The inspector: measures quality and faithfulness."""
