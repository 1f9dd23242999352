"""The HTTP edge: resources read a request, call one use case of the services, and write the answer."""
