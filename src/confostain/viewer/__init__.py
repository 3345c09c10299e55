"""Web viewer: raw slides in the browser, stained on demand."""
