"""The plugins that come with the server, each loaded through the same entry-point group as everybody's."""
