"""The only public door: routing, the page, the status of the whole."""
