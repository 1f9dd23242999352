"""The profile store: one SQLite database through Peewee. The database decides, never memory."""
