"""The window: slides in the browser, stained wherever one looks, and the reader study."""
