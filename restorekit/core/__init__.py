"""The shared language of all methods: images, degradations, metrics, restorers. It knows no method."""
