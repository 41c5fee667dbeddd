"""Pictures with and without labels, from folders, CSV files and a seeded brush."""
