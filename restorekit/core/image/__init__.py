"""Images: what they are in memory, how files become them and back, how large ones are cut."""
