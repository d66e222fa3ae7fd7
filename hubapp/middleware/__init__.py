"""What every request passes through, outermost first: see MIDDLEWARE in the settings."""
