"""The layouts that a database may have when it is opened, also the original program's, and the way to the newest."""
